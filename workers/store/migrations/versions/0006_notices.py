"""Add notices of alerts, and their deliveries to channels."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the tables, with indexes for what is due and for what was sent lately."""
    op.create_table(
        "notices",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("packed", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_notices"),
    )
    op.create_index("ix_notices_at_ms", "notices", ["at_ms"])
    op.create_table(
        "notice_deliveries",
        sa.Column("notice_id", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("due_ms", sa.BigInteger, nullable=False),
        sa.Column("ended_ms", sa.BigInteger, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("notice_id", "channel", name="pk_notice_deliveries"),
    )
    op.create_index("ix_notice_deliveries_state_due_ms", "notice_deliveries", ["state", "due_ms"])
    op.create_index("ix_notice_deliveries_ended_ms", "notice_deliveries", ["ended_ms"])
