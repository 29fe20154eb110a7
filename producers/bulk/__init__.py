"""Files of messages through the fleet, as explicit steps with constant memory.

sources -> validate (jsonl, csv_rows) -> chunk -> submit -> collect; ``run`` joins them.
"""
