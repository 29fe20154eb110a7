"""Quantiles of a stream, by counting values in bins that are each 2 % wide.

A quantile is within 1 % of the true value, and stays so however many sketches are merged: merging adds
counts, so order and grouping do not matter.  Values lie in [1e-6, 1e9] of whatever unit; what is outside
counts at the edge, and what is not above zero counts as zero.

Units:   those of the values.
Errors:  CorruptSketch from ``unpack``.
Source:  Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile sketch", PVLDB 12 (2019).
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import Self

import msgspec

ACCURACY = 0.01  # relative
_GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_PER_LOG = 1 / math.log(_GAMMA)
_LOW, _HIGH = 1e-6, 1e9
_FIRST, _LAST = math.ceil(math.log(_LOW) * _PER_LOG), math.ceil(math.log(_HIGH) * _PER_LOG)
_ZERO = _FIRST - 1  # the bin of what is not above zero
_MOST = 2**53  # a count that a float holds exactly

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[int]).decode


class CorruptSketch(ValueError):
    """What was unpacked is no sketch."""


class Sketch:
    """Counts by bin; not thread-safe."""

    __slots__ = ("bins", "count")

    def __init__(self) -> None:
        self.bins: dict[int, int] = {}
        self.count = 0

    def add(self, value: float, times: int = 1) -> None:
        """Count *value*, as often as it occurred; NaN is refused with ValueError."""
        if value > _LOW:
            place = math.ceil(math.log(value) * _PER_LOG) if value < _HIGH else _LAST
        elif value > 0:
            place = _FIRST
        elif value <= 0:
            place = _ZERO
        else:
            raise ValueError("NaN has no place among the values")
        self.bins[place] = self.bins.get(place, 0) + times
        self.count += times

    def merge(self, other: "Sketch") -> None:
        """Add what *other* counted."""
        bins = self.bins
        if bins:
            for place, count in other.bins.items():
                bins[place] = bins.get(place, 0) + count
        else:
            self.bins = other.bins.copy()
        self.count += other.count

    def quantile(self, share: float) -> float | None:
        """Return the value that *share* of the values, in [0, 1], do not exceed; None without values."""
        if not self.count:
            return None
        rank = max(1, math.ceil(share * self.count))
        for place in sorted(self.bins):
            rank -= self.bins[place]
            if rank <= 0:
                break
        return _value(place)

    def at_most(self, bound: float) -> int:
        """Return how many values do not exceed *bound*, give or take those within 1 % of it."""
        return sum(count for place, count in self.bins.items() if _value(place) <= bound)

    def cumulated(self, bounds: Sequence[float]) -> list[int]:
        """Return ``at_most`` for each of *bounds*, which rise, and at the end how many there are in all."""
        counts = [0] * (len(bounds) + 1)
        for place, count in self.bins.items():
            counts[bisect_left(bounds, _value(place))] += count
        return list(accumulate(counts))

    def pack(self) -> bytes:
        """Return the sketch as MessagePack: first bin, count, then distance to the next bin, count, ..."""
        flat: list[int] = []
        before = 0
        for place in sorted(self.bins):
            flat += (place - before, self.bins[place])
            before = place
        return _encode(flat)

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Return what ``pack`` packed; raise CorruptSketch for anything else."""
        try:
            flat = _decode(packed)
        except msgspec.MsgspecError as error:
            raise CorruptSketch("is no list of whole numbers") from error
        if len(flat) % 2:
            raise CorruptSketch("has a bin without a count")
        sketch, place = cls(), 0
        for index in range(0, len(flat), 2):
            step, count = flat[index], flat[index + 1]
            place += step
            if not _ZERO <= place <= _LAST or (index and step < 1) or not 0 < count < _MOST:
                raise CorruptSketch("has a bin or a count that cannot be")
            sketch.bins[place] = count
            sketch.count += count
        return sketch

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sketch) and self.bins == other.bins

    __hash__ = None  # type: ignore[assignment]  # it changes


def _value(place: int) -> float:
    return 0.0 if place == _ZERO else 2 * _GAMMA**place / (_GAMMA + 1)
