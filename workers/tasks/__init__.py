"""Task bodies: plain functions of a payload and the process's runtime."""
