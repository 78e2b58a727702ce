"""How right the plans are: every measurement that ships with hwledger, replayed and compared."""

from hwledger.accuracy.replay import replay
from hwledger.accuracy.result import Result, Summary, summarise

__all__ = ["Result", "Summary", "replay", "summarise"]
