"""What a process has a hand in for operators: measuring itself, and the periodic work of monitoring."""
