"""Everything around the fleet: the embedded stack, the demo, the benchmark and the ``ion`` command."""
