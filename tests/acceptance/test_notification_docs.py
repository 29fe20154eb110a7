"""docs/notifications.md shows messages, routes and settings as they are."""

import re

from tests.support.notice_docs import IMAGES, PAGE, with_generated
from workers.monitoring.alerts.alert import CHANNELS


def test_what_the_page_shows_is_up_to_date() -> None:
    """If not: python -m tests.support.notice_docs."""
    page = PAGE.read_text("utf-8")
    assert with_generated(page) == page


def test_the_page_has_its_pictures_and_says_how_to_try_each_channel() -> None:
    page = PAGE.read_text("utf-8")
    pictures = re.findall(r"\]\(images/([^)]+)\)", page)
    assert len(pictures) == 3
    assert all((IMAGES / name).stat().st_size > 10_000 for name in pictures)
    for channel in set(CHANNELS) - {"log"}:
        assert f"ion alerts test --channel {channel}" in page
