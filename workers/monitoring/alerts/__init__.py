"""When something is wrong: rules, how they are judged, and what becomes of an alert."""
