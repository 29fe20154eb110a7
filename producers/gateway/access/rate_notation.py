"""How a rate limit is written: ``600/minute``, ``10 per 2 hours``.

Source: the notation of the library ``limits`` (limits/util.py), of which one limit is taken at a time.
"""

from limits import RateLimitItem, parse_many

_MOST = 1_000_000_000  # jobs: the server's scripts calculate with doubles, which are exact as far as that
_LONGEST_S = 31_622_400  # a year


def parse_rate(notation: str) -> RateLimitItem:
    """Return the limit that *notation* describes; raise ValueError for anything but one that lets some in."""
    try:
        items = parse_many(notation)
    except ValueError:
        items = []
    if len(items) != 1 or not 1 <= items[0].amount <= _MOST or items[0].get_expiry() > _LONGEST_S:
        raise ValueError(
            f"{notation!r} is no rate limit; write how many (1 to {_MOST:,}) in which time (up to a year), "
            "e.g. 1000/second, 600/minute or 10 per 2 hours"
        )
    return items[0]
