"""Take the pictures of Flower in the handbook: ``python -m tests.support.flower_shots``.

They show a small fleet at work on messages made up for the purpose, and runs from a made-up ledger.
"""

import itertools
import sys
import tempfile
from pathlib import Path

from persona_system.vocabulary import ALL_KEYS
from producers import PersonaClient, PersonaRequest
from tests.support.chromium import chromium
from tests.support.flower import WatchedStack, note_runs, watched_stack
from tests.support.tools import needs
from workers.contract.names import INTERACTIVE

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
_SIZE = {"width": 1560, "height": 760}
_ROWS = 40


def main() -> None:
    """Write docs/images/flower-*.png."""
    program = needs("chromium")
    directory = Path(tempfile.mkdtemp(prefix="ion-shots-"))
    with watched_stack(directory, workers=3, dashboards="http://127.0.0.1:8000") as watched:
        note_runs(watched.stack)
        _work(watched)
        user, password = watched.login
        with chromium(program) as browser:
            page = browser.new_page(
                viewport=_SIZE,  # type: ignore[arg-type]  # a TypedDict
                http_credentials={"username": user, "password": password},
            )
            for name in ("workers", "tasks", "batches"):
                page.goto(f"{watched.url}/{name}", wait_until="networkidle")
                page.screenshot(path=IMAGES / f"flower-{name}.png")
            page.goto(f"{watched.url}/tasks", wait_until="networkidle")
            page.get_by_text("m7q2").first.wait_for()
            page.locator("#tasks-table tbody a[href*='/task/']").first.click()
            page.get_by_text("Arguments", exact=True).wait_for()
            page.screenshot(path=IMAGES / "flower-task.png")
    sys.stderr.write(f"written: {IMAGES}/flower-*.png\n")


def _work(watched: WatchedStack) -> None:
    """Have the fleet answer until Flower has a page of rows."""
    with PersonaClient(watched.client_settings()) as client:
        for turn in itertools.count(1):
            rows = watched.get("/api/tasks").json().values()
            if sum(row["state"] == "SUCCESS" for row in rows) > _ROWS:
                return
            asked = [PersonaRequest(f"Question {turn}.{n}", key) for n, key in enumerate(ALL_KEYS)]
            client.submit_batch(asked, note=f"run m7q2, {turn * len(asked):,} sent, 43%").result(20)
            client.submit_batch(asked[: turn % 7 + 1], queue=INTERACTIVE).result(20)


if __name__ == "__main__":
    main()
