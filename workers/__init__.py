"""The Celery fleet: contract, tasks, and the composition of one worker process."""
