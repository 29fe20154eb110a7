"""The benchmark: what a batch path buys over one job a message, measured in the same run."""
