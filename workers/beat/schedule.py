"""Which ticks are due: pure.

Units:   milliseconds since the Unix epoch, by the clock of the server that keeps the lead.
"""

from collections.abc import Iterable

from workers.contract.periodic import Periodic


def slot_of(entry: Periodic, now_ms: int) -> int:
    """Return the slot that *now_ms* lies in."""
    return now_ms // entry.period_ms


def due(entry: Periodic, last_ms: int | None, now_ms: int) -> range:
    """Return the slots to send now, oldest first; *last_ms*: when the latest that was sent began, if any was.

    None of them was sent before and none lies ahead, whatever the clock does: where it went backwards,
    nothing is due until it has passed the last slot again.  The period may have been another one then.
    """
    present = slot_of(entry, now_ms)
    last = None if last_ms is None else slot_of(entry, last_ms)
    if last is not None and present <= last:
        return range(0)
    if entry.missed == "all":
        oldest = present if last is None else last + 1
        return range(max(oldest, present - entry.at_most + 1), present + 1)
    begun_ms = now_ms - present * entry.period_ms
    if entry.missed == "skip" and begun_ms * 2 >= entry.period_ms:
        return range(0)
    return range(present, present + 1)


def next_slot_ms(entries: Iterable[Periodic], now_ms: int) -> int | None:
    """Return in how many ms the first slot of any entry begins; None without entries."""
    return min((entry.period_ms - now_ms % entry.period_ms for entry in entries), default=None)
