"""What Alembic runs first: it works on the connection that it was given, in its transaction."""

from alembic import context

from hwledger.ledger.schema import MARK

context.configure(connection=context.config.attributes["connection"], version_table=MARK)
with context.begin_transaction():
    context.run_migrations()
