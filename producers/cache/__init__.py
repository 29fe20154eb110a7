"""The answer cache of a fleet, as operators see it: what it did, and voiding what it holds.

Shared by the commands (``ion cache``) and the HTTP gateway.
"""
