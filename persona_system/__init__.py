"""The domain of ION Mentoring: what a message sounds like, who answers it, and with which prompt.

Nothing in here knows of Celery, HTTP, the environment or the wall clock.
"""
