"""The commands of ``ion`` that submit jobs or work in process.

Start-up time counts, so a module here imports little at its top and the rest inside its command.
"""
