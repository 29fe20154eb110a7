"""Dead letters: what becomes one, and its way into the database."""
