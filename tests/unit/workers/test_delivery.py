"""What the headers of a message tell of its way."""

from typing import Any

import pytest

from workers.contract.dead_letters import Sighting
from workers.delivery import Delivery, delivery_of


@pytest.mark.parametrize(
    ("headers", "lost"),
    [
        (None, 0),
        ({}, 0),
        ({"ion-lost": 2}, 2),
        ({"x-delivery-count": 3}, 3),  # a quorum queue's
        ({"ion-lost-before": 2}, 2),  # put on its queue again by a worker
        ({"ion-lost-before": 2, "ion-lost": 1}, 3),
        ({"ion-lost-before": "many", "ion-lost": 1}, 1),
        ({"ion-lost": -1}, 0),
        ({"ion-lost": True}, 0),
        ({"ion-lost": "7"}, 0),
        ({"x-delivery-count": None}, 0),
    ],
)
def test_lost_workers_are_counted_by_whichever_broker_there_is(
    headers: dict[str, Any] | None, lost: int
) -> None:
    assert delivery_of(headers, "t", "q", "w") == Delivery("t", "q", "w", lost)


@pytest.mark.parametrize(
    ("told", "story"),
    [
        (None, ()),
        ("lost", ()),
        ([[1_000, "lost with its worker", "w1"]], (Sighting(1_000, "lost with its worker", "w1"),)),
        ([["soon", "lost", "w1"], [1], None, [2, "lost", "w2"]], (Sighting(2, "lost", "w2"),)),
        ([[3, "x" * 900, ""]], (Sighting(3, "x" * 200, ""),)),
    ],
)
def test_a_story_is_told_as_far_as_it_is_one(told: object, story: tuple[Sighting, ...]) -> None:
    assert delivery_of({"ion-story": told}, "", "", "").story == story


def test_what_was_known_before_a_message_was_put_on_its_queue_again_comes_first() -> None:
    headers = {"ion-story-before": [[1, "lost", "w1"]], "ion-story": [[2, "lost", "w2"]]}
    assert [sighting.at_ms for sighting in delivery_of(headers, "", "", "").story] == [1, 2]


def test_of_a_story_without_end_the_end_is_told() -> None:
    told = [[n, "lost", "w"] for n in range(1_000)]
    assert [sighting.at_ms for sighting in delivery_of({"ion-story": told}, "", "", "").story] == list(
        range(936, 1_000)
    )
