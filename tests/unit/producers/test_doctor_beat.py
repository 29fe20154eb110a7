"""What the doctor says of periodic work."""

import pytest

from producers.cli.doctor_beat import BeatNotes, beat_check
from workers.contract.periodic import Periodic

MINUTELY = Periodic("warm", "cache.warm", 60, missed="once")
HOURLY = Periodic("tidy", "dead.tidy", 3_600, missed="once")
NOW_MS = 100 * 3_600_000
FRESH = (NOW_MS, NOW_MS - 12_000)


@pytest.mark.parametrize(
    ("leader", "tick", "status", "words"),
    [
        ("here:7", FRESH, "ok", "here:7 leads, epoch 3; warm 12 s ago, tidy never yet"),
        ("", FRESH, "warn", "none leads, so nothing runs by itself: warm 12 s ago, tidy never yet"),
        ("here:7", (NOW_MS - 240_000, NOW_MS - 180_001), "warn", "late: warm"),
        ("here:7", (NOW_MS - 180_000, NOW_MS - 180_000), "ok", "warm 180 s ago"),
        ("here:7", (NOW_MS + 60_000, NOW_MS + 1), "warn", "ahead of the clock: warm"),
    ],
)
def test_somebody_leads_and_nothing_is_late(
    leader: str, tick: tuple[int, int], status: str, words: str
) -> None:
    check = beat_check(BeatNotes(NOW_MS, leader, 3, {"warm": tick}), [MINUTELY, HOURLY])

    assert check.status == status
    assert words in check.found
    assert (check.fix == "") == (status == "ok")
