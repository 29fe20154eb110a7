"""Prompts: template files per persona and language, and the builders that fill them."""
