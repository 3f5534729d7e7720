from alembic import op

revision = "a1"
down_revision = None


def upgrade():
    op.execute("CREATE TABLE first (n int)")
