"""What rocm-smi says of a card, whose keys its JSON, CSV and text share; they differ by version."""

import re
from collections.abc import Mapping
from typing import Final

from hwledger.telemetry.amd.facts import rows
from hwledger.telemetry.amd.telling import MISSING, Identity, device_of, generation, named, text_of, told
from hwledger.telemetry.parsing import measured, said_nothing
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import NOT_TOLD, Absent, Gauge, Reading, Reason
from hwledger.telemetry.snapshot import DeviceSnapshot, ProcessSnapshot

SOURCE: Final = "rocm-smi"
CARD: Final = re.compile(r"(?:card)?([0-9]{1,4})")
_REMARK: Final = re.compile(r"\s*\(~[^()]{0,40}\)$")
_THOUSANDS: Final = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+")
_IN_BRACKETS: Final = re.compile(r"(?:[0-9]{1,3}:? *)?\((?P<inside>[0-9.]+ *[MG]hz)\)", re.IGNORECASE)
_LINK: Final = re.compile(
    r"(?:[0-9]{1,3}:? *)?\(?(?P<rate>[0-9.]+ *GT/s),? *x(?P<lanes>[0-9]{1,2})\b.*", re.IGNORECASE
)
_SHARE: Final = re.compile(r"[0-9]{1,4} \((?P<share>[0-9.]{1,8})(?:%\)|\)%)")
_UNIQUE: Final = re.compile(r"0x0*[1-9a-f][0-9a-f]{6,15}", re.IGNORECASE)
_PROCESS: Final = re.compile(r"pid([0-9]{1,10})")


def key_of(text: str) -> str:
    """Return a key as the table of names has it: versions differ in capitals, colons and blanks."""
    return re.sub(r"\s+", " ", text.strip().rstrip(":").strip().lower())


def card(
    fields: Mapping[str, object], gauge: Gauge, index: int, system: Mapping[str, object]
) -> DeviceSnapshot:
    """Return the device of one card.

    Args:
        fields: what is said of it, by ``key_of``.
        gauge: the source and the moment.
        index: its number.
        system: what is said of the machine, by ``key_of``.
    """
    found = told(rows("rocm_smi"), lambda key: _clean(fields.get(key, MISSING)), gauge)
    _link(fields, gauge, found)
    _level(fields, gauge, found)
    if "gpu memory use" in fields:  # bytes: its share is one of the memory, not of the time
        found.pop(Quantity.MEMORY_ACTIVITY, None)
    if (driver := system.get("driver version")) is not None:
        found[Quantity.DRIVER] = text_of(gauge, Quantity.DRIVER, driver)
    unique = str(fields.get("unique id", "")).strip()
    who = Identity(
        fallback=str(index), index=index, address=str(fields.get("pci bus", "")), name=_name(fields),
        uuid=unique if _UNIQUE.fullmatch(unique) else "",
        device=named(fields.get("device id"), fields.get("gpu id")),
    )  # fmt: skip
    return device_of(found, who, _processes(system, gauge))


def _name(fields: Mapping[str, object]) -> str:
    """Return the card's name; a model that is a hexadecimal number is none."""
    names = [fields.get(key) for key in ("card series", "device name", "card model")]
    return named(*(each for each in names if isinstance(each, str) and not each.strip().startswith("0x")))


def _clean(said: object) -> object:
    """Return a value without brackets, the number of its level, remarks and separators of thousands."""
    if not isinstance(said, str):
        return said
    text = _REMARK.sub("", said.strip()[:200])
    inside = _IN_BRACKETS.fullmatch(text)
    if inside is not None:
        return inside["inside"]
    return text.replace(",", "") if _THOUSANDS.fullmatch(text) else text


def _link(fields: Mapping[str, object], gauge: Gauge, found: dict[Quantity, Reading]) -> None:
    """Enter the link of ``pcie clock level: 1 (16.0GT/s x16)``."""
    said = str(fields.get("pcie clock level", ""))[:80].strip()
    link = _LINK.fullmatch(said)
    if link is not None:
        found[Quantity.PCIE_GENERATION] = generation(gauge, Quantity.PCIE_GENERATION, link["rate"])
        found[Quantity.PCIE_WIDTH] = measured(gauge, Quantity.PCIE_WIDTH, link["lanes"])
    elif said and (nothing := said_nothing(said, gauge.source)) is not None:
        found[Quantity.PCIE_GENERATION] = found[Quantity.PCIE_WIDTH] = nothing


def _level(fields: Mapping[str, object], gauge: Gauge, found: dict[Quantity, Reading]) -> None:
    """Enter the fan of ``Fan Level: 51 (20%)``: the share in brackets, for the level has no unit."""
    share = _SHARE.fullmatch(str(fields.get("fan level", ""))[:80].strip())
    if share is not None:
        found[Quantity.FAN] = measured(gauge, Quantity.FAN, share["share"], "%")


def _processes(system: Mapping[str, object], gauge: Gauge) -> tuple[ProcessSnapshot, ...] | Absent:
    """Return why no card has a list of processes.

    ``--showpids`` lists them for the whole machine, as ``name, GPUs, VRAM, SDMA, CU``, with the number of
    cards that each uses and not which.
    """
    if any(_PROCESS.fullmatch(key) for key in system):
        return gauge.absent(Reason.UNSUPPORTED, "rocm-smi lists processes without the card that they use")
    return NOT_TOLD
