"""How the service is, and what it has done."""
