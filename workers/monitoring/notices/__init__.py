"""Who is told of an alert, where, how, and what if that fails."""
