"""What a daily digest holds besides alerts, as it travels to the channels.

Units:   moments in seconds since the Unix epoch; values in *unit*.
Errors:  none.
"""

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of the day, and of the day before; None: nothing was measured."""

    name: str
    unit: str
    value: float | None
    before: float | None
    lower_is_better: bool = False

    @property
    def is_worse(self) -> bool:
        """Whether it has become worse by a tenth: of itself, or of what a share lacks to 100 %."""
        if self.value is None or self.before is None:
            return False
        share = self.unit == "%" and not self.lower_is_better
        bad = -1.0 if not (self.lower_is_better or share) else 1.0
        value, before = (100 - self.value, 100 - self.before) if share else (self.value, self.before)
        return bad * (value - before) > max(abs(before) / 10, 1e-9)


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the day's notices on one channel; *why* is the latest trouble."""

    channel: str
    sent: int
    merged: int
    failed: int
    waiting: int
    why: str = ""


class Silenced(msgspec.Struct, frozen=True, kw_only=True):
    """Something that nobody is told of until *until_s*."""

    what: str
    until_s: float
    by: str
    why: str


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """A day, from *from_s* to *to_s*; *fired* alerts began in it, which are among those of its notice."""

    from_s: float
    to_s: float
    fired: int
    critical: int  # of those
    resolved: int
    acknowledged: int
    escalated: int
    still_open: int
    figures: tuple[Figure, ...] = ()
    silences: tuple[Silenced, ...] = ()
    deliveries: tuple[Delivered, ...] = ()

    @property
    def said(self) -> str:
        """The day in a sentence."""
        if not self.fired:
            begun = "Nothing fired."
        else:
            grave = f", {self.critical} of them critical" if self.critical else ""
            begun = f"{self.fired} {'alert' if self.fired == 1 else 'alerts'} fired{grave}."
        rest = f" {self.still_open} still open." if self.still_open else " Nothing is open."
        return begun + rest
