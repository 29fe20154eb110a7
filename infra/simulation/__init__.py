"""Trace-driven simulation of the result cache: seeded traces, Belady's optimum, one cache and a fleet."""
