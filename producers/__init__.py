"""Everything that submits jobs and waits for their outcomes."""
