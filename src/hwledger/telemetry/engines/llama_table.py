"""llama.cpp's table of memory by device, printed at its end and while it fits parameters to devices.

Source: llama.cpp ``common/common.cpp`` and ``src/llama-context.cpp`` ``llama_memory_breakdown_print`` (pull
15860), ``common_memory_breakdown_print`` (2026).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hwledger.telemetry.engines.sizes import Devices, Told
from hwledger.telemetry.parsing import checked
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Gauge, Reason

HEADER: Final = re.compile(
    r"memory breakdown(?: \[MiB\])?\s*[|:]\s*\|?\s*total\s+free\s+self\s+model\s+context\s+compute"
)
_ROW: Final = re.compile(
    r"\w:\s*\|?\s*-\s+(?P<device>\S{1,60})(?P<model> \([^|]{1,120}\))?\s*[|:](?P<rest>[^a-zA-Z]{1,200})$"
)
_NUMBER: Final = re.compile(r"-?[0-9.]+")
_WHOLE: Final = re.compile(r"-?[0-9]{1,20}")
_OF_DEVICE: Final = 7
_OF_HOST: Final = 4
_MIB: Final = 1 << 20
_ROUNDING: Final = 2
_UNDERFLOW: Final = 1 << 40
_FITTING: Final = re.compile(r"params_fit|fit_params|fitting params|test allocation")
DRY: Final = "the last table is that of a dry run, before anything was allocated"


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Attributes:
        devices: what it says by device.
        dry: it was printed before anything was allocated.
        unaccounted: sentences about what the devices hold beside it.
    """

    devices: Devices
    dry: bool
    unaccounted: tuple[str, ...] = ()


def last_table(lines: Sequence[str], gauge: Gauge) -> tuple[int, Table] | None:
    """Return the last table of a log with the number of its first line; ``None`` where there is none.

    A dry run is known by more memory that is unaccounted for than can be, or less than nothing, and by what
    is said around the table.
    """
    at = next((number for number in reversed(range(len(lines))) if HEADER.search(lines[number])), None)
    if at is None:
        return None
    rows = []
    end = at + 1
    while end < len(lines) and (row := _ROW.search(lines[end].rstrip(" |"))):
        rows.append(row)
        end += 1
    near = (*lines[max(0, at - 1) : at], *lines[end : end + 1])
    fitting = any(_FITTING.search(line) for line in near)
    return at, _table(rows, gauge, fitting=fitting)


def _table(rows: Sequence[re.Match[str]], gauge: Gauge, *, fitting: bool) -> Table:
    numbers = {row["device"]: _numbers(row["rest"]) for row in rows}
    beside = {name: each[-1] for name, each in numbers.items() if len(each) == _OF_DEVICE}
    dry = fitting or any(not 0 <= value < _UNDERFLOW for value in beside.values())
    said = [f"{name} {value:,} MiB" for name, value in beside.items()]
    notes = (f"held beside it, by drivers and others: {', '.join(said)}",) if said and not dry else ()
    return Table({name: _row(each, gauge, dry=dry) for name, each in numbers.items()}, dry, notes)


def _numbers(text: str) -> list[int]:
    """Return the numbers of a row; none where one is not whole: which is which is not clear."""
    found = _NUMBER.findall(text)
    return [int(each) for each in found] if all(map(_WHOLE.fullmatch, found)) else []


def _row(numbers: Sequence[int], gauge: Gauge, *, dry: bool) -> Told:
    """Return model, context and compute of a row ``total = free + (self = …) + rest`` or ``self = …``."""
    names = (Quantity.WEIGHTS_BYTES, Quantity.KV_CACHE_BYTES, Quantity.COMPUTE_BYTES)
    parts = numbers[3:6] if len(numbers) == _OF_DEVICE else numbers[-3:]
    whole = (
        numbers[2] if len(numbers) == _OF_DEVICE else numbers[-_OF_HOST] if len(numbers) >= _OF_HOST else -1
    )
    if dry:
        return dict.fromkeys(names, gauge.absent(Reason.UNPARSED, DRY))
    if len(parts) != len(names) or abs(sum(parts) - whole) > _ROUNDING:
        return dict.fromkeys(names, gauge.absent(Reason.UNPARSED, "a row of the table does not add up"))
    return {name: checked(gauge, name, value * _MIB) for name, value in zip(names, parts, strict=True)}
