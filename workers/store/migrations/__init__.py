"""Alembic's environment: ``workers.store.upgrade`` runs it, in the transaction that it has begun."""
