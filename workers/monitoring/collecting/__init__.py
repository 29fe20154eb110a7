"""How measurements get from each process into the database, and what is looked at on the way."""
