"""Score the shipped rules on labelled texts: ``python tests/bench/evaluate_analysis.py AXIS FILE...``.

AXIS is ``tone`` or ``intent``.  A FILE is TSV (UTF-8, no quoting, gzip if it ends in .gz) with a header
and the columns ``text`` and ``tone`` or ``mentor_intent``; rows with an empty label are left out.  A label
may be ``other``.  Prints macro-F1 over the labels that occur, F1 per label, and the time per text.
"""

import gzip
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from persona_system.analysis import RuleAnalyser, load_analyser

LABEL_COLUMNS = {"tone": "tone", "intent": "mentor_intent"}


def labelled(path: Path, column: str) -> Iterator[tuple[str, str]]:
    """Yield the text and the label of every labelled row."""
    data = path.read_bytes()
    lines = (gzip.decompress(data) if path.suffix == ".gz" else data).decode().split("\n")
    header = lines[0].split("\t")
    for line in lines[1:]:
        row = dict(zip(header, line.split("\t"), strict=False))
        if row.get(column):
            yield row["text"], row[column]


def heard(analyser: RuleAnalyser, axis: str, text: str) -> str:
    """Return the class with the highest score, ``other`` included; ties go to the earlier one."""
    scores = {name: score for name, score in analyser.class_scores(text).items() if name.startswith(axis)}
    return max(scores, key=lambda name: scores[name]).removeprefix(f"{axis}.")


def f1_scores(pairs: list[tuple[str, str]]) -> dict[str, float]:
    """Return F1 per label that occurs among the true ones; a pair is (true, heard)."""
    hits = Counter(true for true, found in pairs if true == found)
    true_count, found_count = Counter(true for true, _ in pairs), Counter(found for _, found in pairs)
    return {name: 2 * hits[name] / (true_count[name] + found_count[name]) for name in sorted(true_count)}


def main(axis: str, *paths: str) -> None:
    """Print the scores of every file."""
    analyser = load_analyser()
    for path in paths:
        rows = list(labelled(Path(path), LABEL_COLUMNS[axis]))
        begun = time.perf_counter()
        scores = f1_scores([(label, heard(analyser, axis, text)) for text, label in rows])
        each_us = (time.perf_counter() - begun) / len(rows) * 1e6
        macro = sum(scores.values()) / len(scores)
        per_class = "  ".join(f"{name} {score:.3f}" for name, score in scores.items())
        print(f"{path}: {len(rows):,} texts, macro-F1 {macro:.3f}, {each_us:.0f} us each; {per_class}")


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in LABEL_COLUMNS:
        sys.exit(__doc__)
    main(*sys.argv[1:])
