"""Programs of Debian's that some tests look at the product with: Chromium, Prometheus, Alertmanager.

Where one is missing, its tests are skipped and say what to install; ``ION_TEST_REQUIRE_TOOLS=1`` fails them
instead, for machines that have been promised to have it.
"""

import os
import shutil

import pytest

REQUIRED = "ION_TEST_REQUIRE_TOOLS"
PACKAGES = {
    "chromium": "chromium",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
}


def needs(program: str) -> str:
    """Return the path of *program*; without it, skip the test that asks, or fail it if it was promised."""
    found = shutil.which(program)
    if found is not None:
        return found
    missing = (
        f"NO {program.upper()} ON THIS MACHINE: what it looks at is NOT tested by this run; "
        f"apt-get install --no-install-recommends {PACKAGES[program]}"
    )
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{missing} ({REQUIRED}=1)", pytrace=False)
    pytest.skip(missing)
