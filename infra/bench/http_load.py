"""Load from outside: wrk in a process of its own, told what to send by a script in Lua.

Units: seconds in, milliseconds out.
"""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HOW_TO_INSTALL = "wrk makes the load; install it with `apt-get install wrk` or `brew install wrk`"

NUMBER = "@@"  # in a body: a number that no other request of any round has

_SCRIPT = f"""
local bodies, asked, number, round = {{}}, 0, 0, ""

function init(args)
  round = args[1]
  for line in io.lines(args[2]) do
    bodies[#bodies + 1] = line
  end
  if #bodies > 0 then
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
  end
end

local function next_number()
  number = number + 1
  return round .. number
end

function request()
  if #bodies == 0 then
    return wrk.format()
  end
  asked = asked + 1
  local body = bodies[(asked - 1) % #bodies + 1]:gsub("{NUMBER}", next_number)
  return wrk.format(nil, nil, nil, body)
end

function done(summary, latency, requests)
  local errors = summary.errors
  print(string.format(
    'FIGURES {{"answers":%d,"seconds":%f,"refused":%d,"broken":%d,"p50_ms":%f,"p95_ms":%f,"p99_ms":%f}}',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3
  ))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked, by how many connections that each wait for their answer; no *bodies*: it is a GET.

    In a body, each ``@@`` becomes a number of its own, so that it never repeats.
    """

    url: str
    connections: int
    bodies: Sequence[str] = ()
    headers: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Answers:
    """What came back in one round."""

    count: int
    per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


class Wrk:
    """Runs loads, with what it needs for that in *directory*."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._rounds = directory, 0
        self._script = directory / "load.lua"
        self._script.write_text(_SCRIPT, encoding="utf-8")

    def run(self, load: Load, seconds: float) -> Answers:
        """Return what *load* got; raise RuntimeError if anything was not answered with success."""
        self._rounds += 1
        bodies = self._directory / "bodies.txt"
        bodies.write_text("".join(f"{body}\n" for body in load.bodies), encoding="utf-8")
        ran = subprocess.run(
            [
                *("wrk", "--threads", "1", "--connections", str(load.connections)),
                *(
                    "--duration",
                    f"{max(1, round(seconds))}s",
                    "--timeout",
                    "10s",
                    "--script",
                    str(self._script),
                ),
                *(part for header in load.headers for part in ("--header", header)),
                *(load.url, "--", f"{self._rounds}-", str(bodies)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        _, told, figures = ran.stdout.partition("FIGURES ")
        if ran.returncode or not told:
            raise RuntimeError(f"wrk failed: {ran.stderr.strip()[:200]}")
        found = json.loads(figures)
        if found["refused"] or found["broken"] or not found["answers"]:
            raise RuntimeError(
                f"{load.url}: of {found['answers']:,} answers {found['refused']:,} were refusals, "
                f"{found['broken']:,} connections broke"
            )
        per_s = found["answers"] / found["seconds"]
        return Answers(found["answers"], per_s, found["p50_ms"], found["p95_ms"], found["p99_ms"])


def wrk_is_here() -> bool:
    """Tell whether wrk is installed."""
    return shutil.which("wrk") is not None
