"""The tables of what was measured.

A series is what is measured, where, and of what.  Its samples are kept by the minute and by the hour; each
lies in one row, which grows until its time is over.  Both are written in one transaction, so hours are never
behind, and agree with their minutes, however late a report comes.

Units:  seconds since the Unix epoch; values in the unit of their metric.
"""

import sqlalchemy as sa

from workers.store.metadata import metadata

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")

SERIES = sa.Table(
    "metric_series",
    metadata,
    sa.Column("id", _ID, primary_key=True),  # counts up
    sa.Column("region", sa.Text, nullable=False),
    sa.Column("metric", sa.Text, nullable=False),
    sa.Column("labels", sa.Text, nullable=False),  # a JSON list, in the order of the metric's labels
    sa.Column("count", sa.BigInteger, nullable=False),  # from here on: all that was ever measured
    sa.Column("total", sa.Float, nullable=False),
    sa.Column("low", sa.Float, nullable=False),
    sa.Column("high", sa.Float, nullable=False),
    sa.Column("at_s", sa.Float, nullable=False),  # the latest
    sa.Column("sketch", sa.LargeBinary, nullable=True),
    sa.UniqueConstraint("metric", "region", "labels"),
)
SAMPLES = sa.Table(
    "metric_samples",
    metadata,
    sa.Column("series_id", _ID, sa.ForeignKey(SERIES.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("width_s", sa.Integer, primary_key=True),  # 60 or 3,600
    sa.Column("start_s", sa.BigInteger, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("total", sa.Float, nullable=False),
    sa.Column("low", sa.Float, nullable=False),
    sa.Column("high", sa.Float, nullable=False),
    sa.Column("at_s", sa.Float, nullable=False),
    sa.Column("sketch", sa.LargeBinary, nullable=True),
)
REPORTS = sa.Table(
    "metric_reports",
    metadata,
    sa.Column("id", sa.LargeBinary, primary_key=True),  # a digest of what was taken in, so that it is once
    sa.Column("at_s", sa.BigInteger, nullable=False, index=True),  # when
)
