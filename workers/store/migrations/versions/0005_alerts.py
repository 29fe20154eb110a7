"""Add alerts, what is known of each rule, silences, and when rules were judged."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the tables, with indexes for the open alerts and for the history."""
    op.create_table(
        "alerts",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("level", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("fired_ms", sa.BigInteger, nullable=False),
        sa.Column("resolved_ms", sa.BigInteger, nullable=True),
        sa.Column("alert", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
    )
    op.create_index("ix_alerts_state", "alerts", ["state"])
    op.create_index("ix_alerts_fired_ms", "alerts", ["fired_ms"])
    op.create_table(
        "alert_tracks",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("alert_id", sa.Text, nullable=True),
        sa.Column("track", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_alert_tracks"),
    )
    op.create_table(
        "alert_silences",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("until_ms", sa.BigInteger, nullable=False),
        sa.Column("silence", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alert_silences"),
    )
    op.create_index("ix_alert_silences_until_ms", "alert_silences", ["until_ms"])
    op.create_table(
        "alert_evaluations",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("evaluated_ms", sa.BigInteger, nullable=False),
        sa.Column("tidied_ms", sa.BigInteger, nullable=False),
        sa.Column("judged", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alert_evaluations"),
    )
