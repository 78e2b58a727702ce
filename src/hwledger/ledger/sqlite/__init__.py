"""The ledger in one SQLite file: WAL, synchronous=FULL, one writer thread with group commit."""

from hwledger.ledger.sqlite.reading import SqliteReader
from hwledger.ledger.sqlite.writing import SqliteStore

__all__ = ["SqliteReader", "SqliteStore"]
