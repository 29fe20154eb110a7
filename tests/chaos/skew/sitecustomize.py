"""Sets this process's clock off by ``CHAOS_SKEW_S`` seconds; Python runs this file before any other."""

import os
import time

_SKEW_S = float(os.environ.get("CHAOS_SKEW_S", "0"))
_true_time, _true_time_ns = time.time, time.time_ns


def _time() -> float:
    return _true_time() + _SKEW_S


def _time_ns() -> int:
    return _true_time_ns() + int(_SKEW_S * 1e9)


if _SKEW_S:
    time.time, time.time_ns = _time, _time_ns
