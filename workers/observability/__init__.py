"""What operators see of a worker, and what they must never see: the words that people wrote."""
