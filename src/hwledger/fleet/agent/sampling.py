"""Telemetry of a host as columns: a row every so many seconds, a batch a minute."""

import gzip
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from hwledger.ledger.event import time_text
from hwledger.telemetry.quantity import MEANINGS, Quantity, Unit
from hwledger.telemetry.reading import Readings, number_of
from hwledger.telemetry.snapshot import Snapshot

STEP_SECONDS: Final = 10
BATCH_SECONDS: Final = 60
BUDGET_BYTES_PER_HOUR: Final = 2_000_000
"""Of telemetry, packed; above it the rate is halved."""
SLOWEST_STEP_SECONDS: Final = 600
_MICROSECONDS: Final = 1_000_000
_Q: Final = Quantity
MEASURED: Final = (
    _Q.MEMORY_USED, _Q.UTILIZATION, _Q.MEMORY_ACTIVITY, _Q.TEMPERATURE, _Q.TEMPERATURE_MEMORY, _Q.FAN,
    _Q.POWER, _Q.POWER_LIMIT, _Q.CLOCK, _Q.CLOCK_MEMORY, _Q.PCIE_RECEIVED, _Q.PCIE_SENT,
    _Q.ERRORS_UNCORRECTED, _Q.ENERGY,
)  # fmt: skip
"""What changes on a device; the rest is in the inventory."""
MEASURED_HOST: Final = (
    _Q.HOST_MEMORY_AVAILABLE, _Q.SWAP_USED, _Q.CPU_UTILIZATION, _Q.CPU_POWER, _Q.CPU_TEMPERATURE, _Q.LOAD,
)  # fmt: skip
MEASURED_ENGINE: Final = (
    _Q.REQUESTS_RUNNING, _Q.REQUESTS_WAITING, _Q.KV_CACHE_USED, _Q.PROMPT_TOKENS, _Q.GENERATED_TOKENS,
)  # fmt: skip
_DIGITS: Final[Mapping[Unit, int]] = {Unit.RATIO: 3, Unit.WATTS: 1, Unit.CELSIUS: 1, Unit.COUNT: 2}
"""Digits after the point that a sensor of the kind can mean; none for the others."""

Row = dict[str, Any]


def row_of(snapshot: Snapshot) -> Row:
    """Return what a snapshot measured, by column: ``<device key>/<quantity>``; what is unknown is absent."""
    found: Row = {}
    for device in snapshot.devices:
        _take(found, device.key, device.readings, MEASURED)
    _take(found, "host", snapshot.host.readings, MEASURED_HOST)
    for engine in snapshot.engines:
        _take(found, engine.address or engine.engine, engine.readings, MEASURED_ENGINE)
    return found


def _take(found: Row, key: str, readings: Readings, wanted: Sequence[Quantity]) -> None:
    for quantity in wanted:
        number = number_of(readings.get(quantity))
        if number is not None and math.isfinite(number):
            value = round(float(number), _DIGITS.get(MEANINGS[quantity].unit, 0))
            found[f"{key}/{quantity}"[:128]] = int(value) if value.is_integer() else value


def columns_of(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """Return rows as columns, each as long as there are rows; ``None`` where a row has no such value."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


@dataclass
class Sampling:
    """Takes a row each step, and makes a batch of them each minute.

    Attributes:
        look: gives what is measured now.
        clock: microseconds since 1970.
        keep: takes a batch: its number, and the packed body.
        boot: the run of the agent that counts the batches.
        step_seconds: between two rows.
        seq: the number of the last batch.
        halved: how often the budget made it slower.
    """

    look: Callable[[], Snapshot]
    clock: Callable[[], int]
    keep: Callable[[int, bytes], object]
    boot: str
    step_seconds: int = STEP_SECONDS
    seq: int = 0
    halved: int = 0
    _rows: list[Row] = field(default_factory=list)
    _began: int = 0

    def take(self) -> None:
        """Take a row; where it is time, make a batch.

        A row that is off by more than a step (the host slept, its clock was set) begins another batch.

        Raises:
            FullError: the batch could not be kept; it is gone, and the next one is tried.
        """
        step, now = self.step_seconds * _MICROSECONDS, self.clock()
        if self._rows and abs(now - self._began - len(self._rows) * step) > step:
            self.flush()
        if not self._rows:
            self._began = now
        self._rows.append(row_of(self.look()))
        if len(self._rows) * self.step_seconds >= BATCH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Make a batch of the rows so far, if they hold anything.

        Raises:
            FullError: as in ``take``.
        """
        rows, self._rows = self._rows, []
        columns = columns_of(rows)
        if not columns:
            return
        self.seq += 1
        body = packed_batch(self.boot, self.seq, self._began, self.step_seconds, columns)
        self._hold_budget(len(body), len(rows) * self.step_seconds)
        self.keep(self.seq, body)

    def _hold_budget(self, size: int, seconds: int) -> None:
        slower = min(2 * self.step_seconds, SLOWEST_STEP_SECONDS)
        if size * 3600 / seconds > BUDGET_BYTES_PER_HOUR and slower > self.step_seconds:
            self.step_seconds = slower
            self.halved += 1

    def set_step(self, seconds: int) -> None:
        """Take a row every so many seconds from now on."""
        self.flush()
        self.step_seconds = seconds


def packed_batch(boot: str, seq: int, began: int, step_seconds: int, columns: Mapping[str, Any]) -> bytes:
    """Return a batch as it is sent: JSON, packed with gzip."""
    told = {
        "boot": boot,
        "seq": seq,
        "from": time_text(began),
        "step_seconds": step_seconds,
        "columns": columns,
    }
    return gzip.compress(orjson.dumps(told), compresslevel=9, mtime=0)
