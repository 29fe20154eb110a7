"""What answers: one class for each group of addresses."""
