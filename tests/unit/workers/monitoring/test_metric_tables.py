"""The tables of metrics and collections: complete, and sound in themselves."""

from workers.monitoring import metrics
from workers.monitoring.figures import COLLECTIONS
from workers.monitoring.metrics import METRICS, Kind, Metric


def test_each_metric_is_in_the_table_under_its_name() -> None:
    """One that is not would be discarded by every collector."""
    made = {metric for metric in vars(metrics).values() if isinstance(metric, Metric)}
    assert set(METRICS.values()) == made
    assert all(metric.name == name for name, metric in METRICS.items())


def test_names_for_prometheus_are_told_apart() -> None:
    assert len({metric.exposed for metric in METRICS.values()}) == len(METRICS)


def test_each_collection_is_made_of_metrics_as_they_are() -> None:
    for collection in COLLECTIONS.values():
        for part in (*collection.of, *collection.per):
            assert METRICS[part.metric.name] is part.metric
            assert set(part.where) <= set(part.metric.labels)
        if collection.how.startswith("p"):
            assert {part.metric.kind for part in collection.of} == {Kind.DISTRIBUTION}
        if collection.how in {"share", "rest"}:
            assert collection.per


def test_what_a_collection_is_told_apart_by_is_a_label_of_its_parts() -> None:
    """A label that only some parts have would put the others into a group of their own."""
    for collection in COLLECTIONS.values():
        for label in set(collection.by) - {"region"}:
            assert all(label in part.metric.labels for part in (*collection.of, *collection.per))
