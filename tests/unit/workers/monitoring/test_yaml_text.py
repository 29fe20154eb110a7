"""What is written as YAML is read back as it was."""

import yaml  # type: ignore[import-untyped] # only here: it reads what we write
from hypothesis import example, given
from hypothesis import strategies as st

from workers.monitoring.export.yaml_text import yaml_text

TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
SCALARS = TEXTS | st.integers(-(2**60), 2**60) | st.booleans()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=4))
@example({"a": "on", "b": "1.5", "c": "", "d": "x: y #z", "e": "it's", "f": "null", "g": "2m", "h": "1e3"})
@example(
    {
        "two": "lines\nof text",
        "led": " by\nspace",
        "ends": "with one\n",
        "-": "- x",
        "nested": [[1, [2]], {"a": []}],
    }
)
def test_anything_comes_back_as_it_was(value: dict[str, object]) -> None:
    assert yaml.safe_load(yaml_text(value)) == value  # type: ignore[arg-type] # any of these


def test_it_reads_well() -> None:
    assert yaml_text({"for": "2m", "expr": "a > 1\nand b", "list": [{"name": "x", "on": True}, "z"]}) == (
        "for: 2m\nexpr: |-\n  a > 1\n  and b\nlist:\n  - name: x\n    'on': true\n  - z\n"
    )
