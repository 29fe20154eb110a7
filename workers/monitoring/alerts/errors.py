"""Every error of monitoring.

MonitoringError
+ InvalidRules       a file of alert rules cannot be used: names the rule, the field and the fix
"""


class MonitoringError(Exception):
    """Base class of the package's errors."""


class InvalidRules(MonitoringError):
    """A file of alert rules is wrong: *field* of *rule* (either may be empty) in *source*."""

    def __init__(self, source: str, rule: str, field: str, problem: str, fix: str) -> None:
        super().__init__(source, rule, field, problem, fix)
        self.source, self.rule, self.field, self.problem, self.fix = source, rule, field, problem, fix

    @property
    def place(self) -> str:
        """What to correct: the file, the rule and the field."""
        parts = (self.source, f"rule {self.rule}" if self.rule else "", self.field)
        return ", ".join(part for part in parts if part)

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}; {self.fix}"
