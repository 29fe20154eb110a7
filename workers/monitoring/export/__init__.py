"""The alert rules for those who run Prometheus and Alertmanager: the same rules, in their files."""
