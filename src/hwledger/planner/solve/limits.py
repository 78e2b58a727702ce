"""What a plan has to hold: the limits that a user sets, and what misses them by how much."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final

from hwledger.errors import UsageError
from hwledger.units import format_bytes

MEMORY: Final = "memory"
NODE_HOST: Final = "node_host_bytes"
RESERVE: Final = "reserve_bytes"
WHOLE: Final = 100
"""Requests per second from which on they are written without a fraction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What every answer has to hold; ``None``: no limit.

    Attributes:
        ttft_seconds: most seconds to the first token.
        tpot_seconds: most seconds between two tokens of one answer.
        min_tokens_per_second: least tokens per second of one user.
        max_watts: most watts of all devices together, at their board power or the limit set on them.
        max_price_per_hour: most money per hour for all devices together, in US dollars.
        price_kind: which price that is of, and the cheapest: ``rent`` or ``owned``.
        ram_bytes: most bytes of host memory.
        reserve_bytes: kept free on each device.
        min_requests_per_second: least requests that are answered per second, by those that are at once.
    """

    ttft_seconds: float | None = None
    tpot_seconds: float | None = None
    min_tokens_per_second: float | None = None
    max_watts: float | None = None
    max_price_per_hour: float | None = None
    ram_bytes: int | None = None
    reserve_bytes: int = 0
    min_requests_per_second: float | None = None
    price_kind: str = "rent"

    def __post_init__(self) -> None:
        for name in ("ttft_seconds", "tpot_seconds", "min_tokens_per_second", "max_watts",
                     "max_price_per_hour", "ram_bytes", "min_requests_per_second"):  # fmt: skip
            value = getattr(self, name)
            if value is not None and not 0 < value < inf:
                raise UsageError(
                    f"a limit of {value} for {LABELS[name]} holds for nothing; give a positive number"
                )
        if self.reserve_bytes < 0:
            raise UsageError("a reserve is 0 bytes or more")

    @property
    def of_speed(self) -> bool:
        """Whether any limit needs the speed estimate."""
        return any(
            (self.ttft_seconds, self.tpot_seconds, self.min_tokens_per_second, self.min_requests_per_second)
        )


@dataclass(frozen=True, slots=True)
class Miss:
    """One limit that a plan misses.

    Attributes:
        limit: name of the limit: a field of ``Limits``, ``memory``, or ``node_host_bytes``.
        wanted: the limit.
        got: what the plan has; ``None`` where that is not known.
        why: in words.
    """

    limit: str
    wanted: float
    got: float | None
    why: str

    @property
    def excess(self) -> float:
        """How far off, as a share of the limit; infinite where it is not known."""
        if self.got is None or self.got <= 0:
            return inf
        low, high = sorted((self.wanted, self.got))
        return high / low - 1 if low > 0 else inf


LABELS: Final = {
    MEMORY: "memory of a device",
    "ttft_seconds": "TTFT",
    "tpot_seconds": "TPOT",
    "min_tokens_per_second": "tokens/s of one user",
    "max_watts": "power",
    "max_price_per_hour": "price",
    "ram_bytes": "host memory",
    NODE_HOST: "host memory of the node",
    RESERVE: "memory kept free",
    "min_requests_per_second": "requests answered per second",
}
OF_MEMORY: Final = frozenset({MEMORY, "ram_bytes", NODE_HOST})
"""Limits without which a way does not run at all."""
LOWER: Final = frozenset({"min_tokens_per_second", "min_requests_per_second", RESERVE})
"""Limits that have to be reached; all others must not be exceeded."""


def seconds(value: float) -> str:
    """Return a time as people read it: ``1.5 s``, ``42 ms``."""
    return f"{value:.4g} s" if value >= 1 else f"{1000 * value:.3g} ms"


_SHOWN: Final[dict[str, Callable[[float], str]]] = {
    MEMORY: format_bytes,
    "ttft_seconds": seconds,
    "tpot_seconds": seconds,
    "min_tokens_per_second": lambda value: f"{value:.4g} tokens/s",
    "max_watts": lambda value: f"{value:,.0f} W",
    "max_price_per_hour": lambda value: f"{value:.3g} USD/h",
    "ram_bytes": format_bytes,
    NODE_HOST: format_bytes,
    RESERVE: format_bytes,
    "min_requests_per_second": lambda value: f"{value:,.0f}/s" if value >= WHOLE else f"{value:.3g}/s",
}


def format_rate(per_second: float) -> str:
    """Return a rate of arrivals as people read it: ``2.5 requests per second``."""
    digits = f"{per_second:,.0f}" if per_second >= WHOLE else f"{per_second:g}"
    return f"{digits} request{'' if per_second == 1 else 's'} per second"


def shown(limit: str, value: float) -> str:
    """Return a value of a limit in its unit."""
    return _SHOWN[limit](value)


def miss(
    limit: str, wanted: float | None, got: float | None, unknown: str = "", *, of: str = ""
) -> Miss | None:
    """Return how a limit is missed; ``None`` where it holds or is not set.

    Args:
        limit: a field of ``Limits``, ``memory``, or ``node_host_bytes``.
        wanted: the limit.
        got: what the plan has; ``None``: not known, so that the limit cannot be said to hold.
        unknown: why it is not known.
        of: whose limit it is, in words.
    """
    if wanted is None:
        return None
    if got is None:
        return Miss(limit, wanted, None, f"{LABELS[limit]} is not known{': ' + unknown if unknown else ''}")
    if (got >= wanted) if limit in LOWER else (got <= wanted):
        return None
    word = "below" if limit in LOWER else "over"
    by = shown(limit, abs(got - wanted))
    whole = f"{shown(limit, wanted)}{f' of {of}' if of else ''}"
    what = "host memory" if limit == NODE_HOST else LABELS[limit]
    return Miss(limit, wanted, got, f"{what} {shown(limit, got)}, {by} {word} {whole}")
