"""Who may come in, how often, and what is kept of it."""
