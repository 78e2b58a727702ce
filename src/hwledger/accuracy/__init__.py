"""How right the plans are: every measurement that ships with hwledger, replayed and compared."""

from hwledger.accuracy.result import Result, Summary, summarise
from hwledger.accuracy.replay import replay

__all__ = ["Result", "Summary", "replay", "summarise"]
