"""Messages as bytes: the same in and out, smaller on the way, and hostile ones refused."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_system.pipeline import load_pipeline
from tests.support.loopback import KeptDeadLetters
from tests.support.settling import MemorySettlements
from workers.contract.payloads import Job
from workers.contract.wire import MAX_UNPACKED_BYTES, Unreadable, compress, decompress
from workers.runtime import Runtime
from workers.tasks import persona

MAGIC = b"\x28\xb5\x2f\xfd"


@given(st.lists(st.text(), max_size=50), st.integers(1, 2000))
def test_what_goes_in_comes_out(texts: list[str], repeat: int) -> None:
    packed = msgspec.msgpack.encode({"jobs": texts * min(repeat, 2000)})
    assert decompress(compress(packed)) == packed


def test_a_short_message_is_left_alone() -> None:
    packed = msgspec.msgpack.encode(Job(id="1", text="hello"))
    assert compress(packed) is packed


def test_prompts_that_share_their_words_shrink() -> None:
    pipeline = load_pipeline()
    prompts = [pipeline.process(f"question {n}", "calm-medium-learning").content for n in range(200)]
    packed = msgspec.msgpack.encode(prompts)

    assert len(compress(packed)) < len(packed) / 15


@pytest.mark.parametrize(
    "data",
    [
        MAGIC,
        MAGIC + b"nonsense",
        compress(b"x" * 100_000)[:-3],
        compress(bytes(MAX_UNPACKED_BYTES + 1)),  # 64 MiB in 2 kB
    ],
    ids=["empty", "nonsense", "cut short", "bomb"],
)
def test_a_hostile_message_is_refused_and_kept(data: bytes) -> None:
    with pytest.raises(Unreadable):
        decompress(data)

    kept = KeptDeadLetters()
    settlements = MemorySettlements()
    persona.process(data, Runtime(load_pipeline(), settlements, kept, lambda: 0.0))
    assert [(letter.payload, letter.code) for letter in kept.kept] == [(data, "UNREADABLE")]
    assert settlements.replies == []
