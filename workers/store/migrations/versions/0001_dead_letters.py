"""Add the dead letters, and the ids that their retries travel under."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Add the tables and the indexes of the filters."""
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("problem", sa.Text, nullable=False),
        sa.Column("fix", sa.Text, nullable=False),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("persona", sa.Text, nullable=False),
        sa.Column("deliveries", sa.Integer, nullable=False),
        sa.Column("deaths", sa.Integer, nullable=False),
        sa.Column("retries", sa.Integer, nullable=False),
        sa.Column("first_ms", sa.BigInteger, nullable=False),
        sa.Column("last_ms", sa.BigInteger, nullable=False),
        sa.Column("changed_ms", sa.BigInteger, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("job_ids", sa.Text, nullable=False),
        sa.Column("story", sa.Text, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_dead_letters"),
    )
    for column in ("state", "reason", "queue", "task", "persona", "last_ms", "changed_ms"):
        op.create_index(f"ix_dead_letters_{column}", "dead_letters", [column])
    op.create_table(
        "dead_letter_retries",
        sa.Column("becomes", sa.Text, nullable=False),
        sa.Column("letter", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("becomes", name="pk_dead_letter_retries"),
        sa.ForeignKeyConstraint(
            ["letter"],
            ["dead_letters.id"],
            ondelete="CASCADE",
            name="fk_dead_letter_retries_letter_dead_letters",
        ),
    )
    op.create_index("ix_dead_letter_retries_letter", "dead_letter_retries", ["letter"])
