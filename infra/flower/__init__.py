"""Flower as it ships: who may look, what it keeps, and two pages of ours beside its own.

``flowerconfig.py`` is the file that ``celery flower --conf`` reads; ``ion up`` starts it with that, too.
"""
