"""Who answers can be read from a packed result of either task, and a result of neither does no harm."""

import msgspec

from persona_system.pipeline import load_pipeline
from workers.contract.glance import decisions_in, personas_in

PIPELINE = load_pipeline()
KEY = "calm-medium-learning"
pack = msgspec.msgpack.encode


def test_both_kinds_of_results_tell_who_answers() -> None:
    response, recommendation = PIPELINE.process("m", KEY), PIPELINE.recommend("m", KEY)
    found = personas_in([pack(response), pack(response), msgspec.Raw(pack(recommendation))])

    assert found.total() == 3
    assert set(found) == {response.persona_used, recommendation.recommended_persona}


def test_what_cannot_be_read_is_left_out() -> None:
    assert personas_in([b"", b"\xc1", pack({"persona_used": 7}), pack({"other": 1}), pack([1])]) == {}


def test_a_response_tells_what_was_decided() -> None:
    given, analysed = PIPELINE.process("m", KEY), PIPELINE.process("Why does it fail?")
    found = decisions_in([pack(given), pack(analysed), b"\xc1", pack(PIPELINE.recommend("m", KEY))])

    assert found.personas.total() == 2
    assert found.confidences == [given.confidence, analysed.confidence]
    assert found.analysed == 1
