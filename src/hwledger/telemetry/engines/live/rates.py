"""Tokens per second out of counters that were read more than once."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from hwledger.telemetry.parsing import checked
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Basis, Gauge, Reading, Reason, Value, number_of

SHORTEST_S: Final = 0.5
AT_END_S: Final = 30.0
"""Of counters that move when a request ends, shorter spans say nothing."""
_KEPT_S: Final = 120.0
_MOST: Final = 600
SPEEDS: Final = {
    Quantity.DECODE_SPEED: Quantity.GENERATED_TOKENS, Quantity.PREFILL_SPEED: Quantity.PROMPT_TOKENS,
}  # fmt: skip


@dataclass
class Rates:
    """What the counters of one engine said before.

    Attributes:
        at_end: its counters move when a request ends, and not while it runs.
        slack: tokens by which a counter may go back without having begun anew: that of running requests and
            that of ended ones differ by some.
    """

    at_end: bool = False
    slack: float = 0.0
    _seen: dict[Quantity, deque[tuple[float, float]]] = field(default_factory=dict)

    def speeds(
        self, told: Mapping[Quantity, Reading], gauge: Gauge, running: float | None
    ) -> dict[Quantity, Reading]:
        """Return the speeds that follow from these counters and those of earlier looks.

        Where no rate follows yet, the engine's own figure stands, else the reason.

        Args:
            told: readings of this look.
            gauge: of this look.
            running: requests that run now.
        """
        found: dict[Quantity, Reading] = {}
        for speed, counter in SPEEDS.items():
            number = number_of(told.get(counter))
            if number is None:
                continue
            reading = self._speed(speed, counter, number, gauge, running)
            own = told.get(speed)
            found[speed] = (
                own
                if own is not None and isinstance(own, Value) and not isinstance(reading, Value)
                else reading
            )
        return found

    def _speed(
        self, speed: Quantity, counter: Quantity, number: float, gauge: Gauge, running: float | None
    ) -> Reading:
        seen = self._seen.setdefault(counter, deque(maxlen=_MOST))
        if seen and number < seen[-1][1] - self.slack:
            seen.clear()
            seen.append((gauge.at, number))
            return gauge.absent(Reason.UNSUPPORTED, "its counter began anew: the next look has a rate")
        earlier = self._earlier(seen, gauge.at)
        seen.append((gauge.at, number))
        while seen and gauge.at - seen[0][0] > _KEPT_S:
            seen.popleft()
        if earlier is None:
            return gauge.absent(Reason.UNSUPPORTED, self._why_none())
        grown = max(0.0, number - earlier[1])
        if self.at_end and grown == 0 and running:
            return gauge.absent(Reason.UNSUPPORTED, "the engine counts tokens when a request ends; none has")
        derived = Gauge(gauge.source, gauge.at, Basis.DERIVED)
        return checked(derived, speed, grown / (gauge.at - earlier[0]))

    def _earlier(self, seen: deque[tuple[float, float]], now: float) -> tuple[float, float] | None:
        """Return the latest look that is long enough ago."""
        least = AT_END_S if self.at_end else SHORTEST_S
        return next((each for each in reversed(seen) if now - each[0] >= least), None)

    def _why_none(self) -> str:
        if self.at_end:
            return f"the engine counts tokens when a request ends: a rate needs {AT_END_S:.0f} s of looks"
        return "a rate needs two looks some time apart, and this is the first"
