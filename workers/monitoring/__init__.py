"""What the fleet does, in numbers: metrics, their history, alerts and dashboards.

Pure functions and data, beside a store and channels at the edge.  Nothing here knows Celery, tasks or
producers; whoever has something to tell holds a ``Recorder`` or tells an event, and whoever wants to know
asks a ``Reader``.
"""
