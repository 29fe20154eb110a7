"""The embedded stack: Valkey and workers on this machine, under one supervisor.

Nothing is imported here: ``watchdog`` and ``enrol`` live in this folder and must start in milliseconds.
"""
