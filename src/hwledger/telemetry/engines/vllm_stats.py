"""What vLLM logs every few seconds while it works: requests, speeds, use of its cache.

Sources: vLLM 0.2 ``engine/llm_engine.py``, 0.4 to 0.10 ``engine/metrics.py`` (hits in a line below), V1
``v1/metrics/loggers.py``. Each engine of several logs its own line; the last line of each counts.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from hwledger.telemetry.engines.sizes import Told
from hwledger.telemetry.parsing import checked, measured
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Basis, Gauge, Reading, number_of

_NUMBER: Final = r"[0-9]{1,12}(?:\.[0-9]{1,6})?"
STATS: Final = re.compile(
    rf"(?:Engine (?P<engine>[0-9]{{1,5}}): )?Avg prompt throughput: (?P<prefill_speed>{_NUMBER}) tokens/s,"
    rf" Avg generation throughput: (?P<decode_speed>{_NUMBER}) tokens/s,"
    r" Running: (?P<requests_running>[0-9]{1,9}) reqs,(?: Swapped: [0-9]{1,9} reqs,)?"
    r" (?:Pending|Waiting): (?P<requests_waiting>[0-9]{1,9}) reqs(?:, [^,:]{1,40}: [0-9]{1,9} reqs)*"
    rf"(?:, (?:GPU )?KV cache usage: (?P<kv_cache_used>{_NUMBER}%))?"
)
_HITS: Final = re.compile(rf"Prefix cache hit rate: ({_NUMBER}%)")
_BELOW: Final = re.compile(rf"Prefix cache hit rate: GPU: ({_NUMBER}%)")
_ADDED: Final = (
    Quantity.PREFILL_SPEED, Quantity.DECODE_SPEED, Quantity.REQUESTS_RUNNING, Quantity.REQUESTS_WAITING,
)  # fmt: skip


@dataclass
class Stats:
    """The last line of each engine."""

    lines: dict[str, dict[str, str]] = field(default_factory=dict)

    def enter(self, line: str) -> None:
        """Enter a line of the log, where it is one."""
        found = STATS.search(line)
        if found is None:
            if hits := _BELOW.search(line):
                self.lines.setdefault("", {})[Quantity.PREFIX_CACHE_HITS] = hits[1]
            return
        said = {name: text for name, text in found.groupdict().items() if text is not None}
        if hits := _HITS.search(line, found.end()):
            said[Quantity.PREFIX_CACHE_HITS] = hits[1]
        self.lines[said.pop("engine", "")] = said

    def told(self, gauge: Gauge) -> Told:
        """Return the readings: of several engines the sums, and of their caches the fullest."""
        by_engine = {name: _readings(said, gauge) for name, said in self.lines.items()}
        told: Told = {}
        for quantity in (*_ADDED, Quantity.KV_CACHE_USED, Quantity.PREFIX_CACHE_HITS):
            known = [each[quantity] for each in by_engine.values() if quantity in each]
            if len(known) == 1 or (known and quantity is Quantity.KV_CACHE_USED):
                told[quantity] = max(known, key=lambda each: number_of(each) or 0.0)
            elif known and quantity in _ADDED:
                derived = Gauge(gauge.source, gauge.at, Basis.DERIVED)
                told[quantity] = checked(derived, quantity, sum(number_of(each) or 0.0 for each in known))
        return told


def _readings(said: dict[str, str], gauge: Gauge) -> dict[Quantity, Reading]:
    return {Quantity(name): measured(gauge, Quantity(name), text) for name, text in said.items()}
