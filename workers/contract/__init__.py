"""The one thing that producers know of workers: names, payloads and typed task references."""
