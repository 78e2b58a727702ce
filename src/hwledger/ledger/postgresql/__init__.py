"""The ledger in a PostgreSQL database: one writer by a lock and its epoch, any number of readers."""

from hwledger.ledger.postgresql.reading import PostgresReader
from hwledger.ledger.postgresql.writing import PostgresStore

__all__ = ["PostgresReader", "PostgresStore"]
