"""``tegrastats`` of NVIDIA's Jetson boards: one line a look; labels of rails and sensors differ by board."""

import re
from collections.abc import Iterator
from typing import Final

from hwledger.telemetry.parsing import measured
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reading, Reason
from hwledger.telemetry.recorded import Format
from hwledger.telemetry.snapshot import DeviceSnapshot, HostSnapshot, Sample

Q = Quantity
SOURCE: Final = "tegrastats"
MIB: Final = {"mb": "mib"}  # 7620MB is what a board of 8 GiB leaves: tegrastats divides by 1024 twice
_RAM: Final = re.compile(r"\bRAM (?P<used>[0-9]+)/(?P<total>[0-9]+)(?P<unit>[A-Za-z]+)")
_SWAP: Final = re.compile(r"\bSWAP (?P<used>[0-9]+)/(?P<total>[0-9]+)(?P<unit>[A-Za-z]+)")
_GPU: Final = re.compile(r"\bGR3D(?:_FREQ)? (?P<busy>[0-9]+%)(?:@\[?(?P<clock>[0-9]+)(?![0-9.]))?")
_EMC: Final = re.compile(r"\bEMC(?:_FREQ)? (?P<busy>[0-9]+%)(?:@\[?(?P<clock>[0-9]+)(?![0-9.]))?")
_HEAT: Final = re.compile(r"(?<![\w.])(?P<where>[A-Za-z][\w-]*)@(?P<value>-?[0-9]+(?:\.[0-9]+)?)C\b")
_RAIL: Final = re.compile(
    r"(?<![\w.])(?P<name>(?:VDD|VIN|POM)_\w+|GPU|CPU|SOC) (?P<now>[0-9]+)(?:mW)?(?:/[0-9]+(?:mW)?)?"
    r"(?![\w/%@.])"
)
_OFF: Final = -256.0
SLEEPS: Final = Absent(Reason.UNSUPPORTED, "-256 °C: its sensor sleeps with the part", SOURCE)
ALONE: Final = ("VDD_GPU", "VDD_SYS_GPU", "POM_5V_GPU", "GPU")
"""Rails of the GPU alone; others feed more than it, and stand for no device."""
LONGEST: Final = 16 << 10


def is_tegrastats(text: str) -> bool:
    """Whether a text is of tegrastats."""
    return _RAM.search(text[:LONGEST]) is not None and _GPU.search(text[:LONGEST]) is not None


def read_tegrastats(text: str) -> Sample:
    """Return the board of the last line: its memory is the host's."""
    lines = [line[:LONGEST] for line in text.splitlines() if _RAM.search(line[:LONGEST])]
    if not lines:
        return Sample(troubles=("tegrastats: no line is understood",))
    line, gauge = lines[-1], Gauge(SOURCE)
    device = DeviceSnapshot(
        "NVIDIA-0", "Jetson", "NVIDIA", "apu", index=0, unified=True, readings=dict(_readings(line, gauge)),
        notes=tuple(_notes(line)),
    )  # fmt: skip
    return Sample(devices=(device,), host=HostSnapshot(readings=dict(_host(line, gauge))))


def _readings(line: str, gauge: Gauge) -> Iterator[tuple[Quantity, Reading]]:
    yield from _pair(gauge, _RAM.search(line), Q.MEMORY_TOTAL, Q.MEMORY_USED)
    for pattern, busy, clock in ((_GPU, Q.UTILIZATION, Q.CLOCK), (_EMC, Q.MEMORY_ACTIVITY, Q.CLOCK_MEMORY)):
        found = pattern.search(line)
        if found:
            yield busy, measured(gauge, busy, found["busy"])
            if found["clock"]:
                yield clock, measured(gauge, clock, found["clock"], "MHz")
    heat = {found["where"].lower(): found["value"] for found in _HEAT.finditer(line)}
    for where, quantity in (("gpu", Q.TEMPERATURE), ("tj", Q.TEMPERATURE_HOTSPOT)):
        if where in heat:
            off = float(heat[where]) == _OFF
            yield quantity, SLEEPS if off else measured(gauge, quantity, heat[where], "C")
    yield Q.POWER, _power(line, gauge)


def _power(line: str, gauge: Gauge) -> Reading:
    rails = {found["name"]: found["now"] for found in _RAIL.finditer(line)}
    for name in ALONE:
        if name in rails:
            return measured(gauge, Q.POWER, rails[name], "mW")
    shared = [name for name in rails if "GPU" in name]
    if shared:
        return gauge.absent(Reason.UNSUPPORTED, f"the board measures {shared[0]} together with other parts")
    return gauge.absent(Reason.UNSUPPORTED, "the board shows no rail of the GPU")


def _host(line: str, gauge: Gauge) -> Iterator[tuple[Quantity, Reading]]:
    ram = _RAM.search(line)
    if ram:
        yield (
            Q.HOST_MEMORY_TOTAL,
            measured(gauge, Q.HOST_MEMORY_TOTAL, f"{ram['total']}{ram['unit']}", spelled=MIB),
        )
    yield from _pair(gauge, _SWAP.search(line), Q.SWAP_TOTAL, Q.SWAP_USED)


def _pair(
    gauge: Gauge, found: "re.Match[str] | None", total: Quantity, used: Quantity
) -> Iterator[tuple[Quantity, Reading]]:
    if found:
        for quantity, part in ((total, "total"), (used, "used")):
            yield quantity, measured(gauge, quantity, f"{found[part]}{found['unit']}", spelled=MIB)


def _notes(line: str) -> Iterator[str]:
    rails = [found["name"] for found in _RAIL.finditer(line)]
    whole = [name for name in rails if name in {"VDD_IN", "POM_5V_IN", "VIN_SYS_5V0"}]
    if whole:
        yield f"the whole board's power is on the rail {whole[0]}, which is not that of the GPU"


FORMATS: Final = (Format("tegrastats", is_tegrastats, read_tegrastats),)
