"""${message}

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
"""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    """${upgrades if upgrades else "Describe and write the change."}"""


def downgrade() -> None:
    """${downgrades if downgrades else "Describe and write the way back."}"""
