"""A worker's part in the answer cache: looking up, keeping, warming and computing ahead."""
