"""What every request goes through: identity, limits, bodies, CORS, preferences."""
