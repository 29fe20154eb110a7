"""docs/prometheus.md names what there is."""

from tests.support.prometheus_docs import PAGE, with_table


def test_the_table_of_names_is_up_to_date() -> None:
    """If not: python -m tests.support.prometheus_docs."""
    page = PAGE.read_text("utf-8")

    assert with_table(page) == page
