"""The database: what has to outlive queues and processes.  SQLite, or PostgreSQL for a fleet."""
