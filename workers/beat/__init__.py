"""Celery beat with one leader: as many as you like run, one sends, and each slot has one tick."""
