"""The demo: thousands of real messages through a real broker and real workers, with one command."""
