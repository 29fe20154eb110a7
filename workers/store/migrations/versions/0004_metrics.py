"""Add what was measured: its series, their samples, and which reports were taken in."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add the tables; samples are found by their series, then their time."""
    op.create_table(
        "metric_series",
        sa.Column("id", _ID, nullable=False),
        sa.Column("region", sa.Text, nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("total", sa.Float, nullable=False),
        sa.Column("low", sa.Float, nullable=False),
        sa.Column("high", sa.Float, nullable=False),
        sa.Column("at_s", sa.Float, nullable=False),
        sa.Column("sketch", sa.LargeBinary, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_metric_series"),
        sa.UniqueConstraint("metric", "region", "labels", name="uq_metric_series_metric_region_labels"),
    )
    op.create_table(
        "metric_samples",
        sa.Column("series_id", _ID, nullable=False),
        sa.Column("width_s", sa.Integer, nullable=False),
        sa.Column("start_s", sa.BigInteger, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("total", sa.Float, nullable=False),
        sa.Column("low", sa.Float, nullable=False),
        sa.Column("high", sa.Float, nullable=False),
        sa.Column("at_s", sa.Float, nullable=False),
        sa.Column("sketch", sa.LargeBinary, nullable=True),
        sa.PrimaryKeyConstraint("series_id", "width_s", "start_s", name="pk_metric_samples"),
        sa.ForeignKeyConstraint(
            ["series_id"],
            ["metric_series.id"],
            ondelete="CASCADE",
            name="fk_metric_samples_series_id_metric_series",
        ),
    )
    op.create_table(
        "metric_reports",
        sa.Column("id", sa.LargeBinary, nullable=False),
        sa.Column("at_s", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_metric_reports"),
    )
    op.create_index("ix_metric_reports_at_s", "metric_reports", ["at_s"])
