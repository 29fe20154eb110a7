"""The server under the application: processes, connections, and how they end."""
