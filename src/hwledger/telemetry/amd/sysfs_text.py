"""Recorded dumps of amdgpu's files: ``head *``, ``cat`` at a prompt, ``grep .``."""

import re
from collections.abc import Iterator
from typing import Final

from hwledger.telemetry.amd.sysfs import ASLEEP, SOURCE, asleep, of_files
from hwledger.telemetry.amd.telling import Identity, device_of, named
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reason
from hwledger.telemetry.snapshot import DeviceSnapshot, Sample

_MINE: Final = re.compile(
    r"/sys/\S{0,400}(?:mem_info_(?:vram|vis_vram|gtt)|gpu_busy_percent|mem_busy_percent|pp_dpm_|amdgpu_pm_info)"
)
_HEAD: Final = re.compile(r"==> (?P<path>/sys/\S{1,400}) <==")
_PROMPT: Final = re.compile(r"\S{0,80}[$#>] (?:sudo )?cat (?P<path>/sys/\S{1,400})")
_GREP: Final = re.compile(
    r"(?P<path>/sys/[^\s:]{1,200}(?::[0-9a-f]{2}:[0-9a-f]{2}\.[0-9][^\s:]{0,200})?):(?P<value>.*)"
)
_ERROR: Final = re.compile(
    r"(?:cat|head|grep):.{0,40}?['‘\"]?(?P<path>/sys/[^\s'’\"]{1,400}?)['’\"]?:? (?:for reading: )?"
    r"(?P<what>[A-Z][a-z ]{3,60})"
)
_PLACES: Final = (
    re.compile(r"/sys/class/drm/(?P<card>card(?:[0-9]{1,4}|\*))/device/(?P<file>\S+)"),
    re.compile(r"/sys/kernel/debug/dri/(?P<card>[0-9]{1,4})/(?P<file>\S+)"),
    re.compile(r"/sys/(?:bus/pci/devices|devices)/(?:\S*/)?(?P<card>[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9])/(?P<file>\S+)"),
)  # fmt: skip
_REASONS: Final = {
    "No such file or directory": Reason.UNSUPPORTED, "Permission denied": Reason.NO_PERMISSION,
    "Operation not permitted": Reason.NO_PERMISSION, "No such device": Reason.LOST_DEVICE,
}  # fmt: skip
_SINCE: Final = "the kernel has no {name} here; amdgpu has had it since Linux 5.1"


def recognises(text: str) -> bool:
    """Return whether a text shows files of amdgpu."""
    return _MINE.search(text) is not None


def read(text: str) -> Sample:
    """Return what a dump says of each card; cards stand under their number or their PCI address."""
    gauge = Gauge(SOURCE)
    cards: dict[str, dict[str, str | Absent]] = {}
    lost: list[Absent] = []
    for path, said in _entries(text):
        place = next((found for each in _PLACES if (found := each.fullmatch(path))), None)
        if place is None:
            continue
        if "*" in place["card"]:
            lost += [said] if isinstance(said, Absent) else []
        else:
            name = place["card"].removeprefix("card")
            cards.setdefault(name, {}).setdefault(place["file"], said)
    devices = tuple(_device(name, files, gauge) for name, files in cards.items())
    troubles = tuple(f"{SOURCE}: {each.detail}" for each in lost)
    if devices:
        return Sample(devices=devices, troubles=troubles)
    why = lost[0] if lost else Absent(Reason.UNPARSED, "it shows no file of a card", SOURCE)
    return Sample(troubles=troubles or (f"{SOURCE}: {why.detail}",), failure=why)


def _entries(text: str) -> Iterator[tuple[str, str | Absent]]:
    """Yield each file with its text, or why it has none."""
    path, lines = "", list[str]()
    for line in text.splitlines()[:200_000]:
        line = line[:2000]  # noqa: PLW2901 - no line of sysfs is longer
        error, begun = _ERROR.match(line), _HEAD.fullmatch(line.strip()) or _PROMPT.fullmatch(line.strip())
        single = _GREP.fullmatch(line)
        if not (error or begun or single):
            lines.append(line)
            continue
        if path:
            yield path, "\n".join(lines).strip()
        path, lines = (begun["path"] if begun else ""), []
        if error:
            yield error["path"], _reason(error["path"], error["what"])
        elif single and not begun:
            yield single["path"], single["value"].strip()
    if path:
        yield path, "\n".join(lines).strip()


def _reason(path: str, what: str) -> Absent:
    name = path.rpartition("/")[2][:80]
    reason = _REASONS.get(what.strip(), Reason.UNSUPPORTED)
    since = reason is Reason.UNSUPPORTED and name.startswith("mem_info")
    return Absent(reason, _SINCE.format(name=name) if since else f"{name}: {what.strip()}", SOURCE)


def _device(name: str, files: dict[str, str | Absent], gauge: Gauge) -> DeviceSnapshot:
    status, device = files.get("power/runtime_status"), files.get("device")
    product, unique = files.get("product_name"), files.get("unique_id")
    sleeps = isinstance(status, str) and status in ASLEEP
    readings = (
        asleep(gauge, str(status), frozenset({Quantity.MEMORY_TOTAL})) if sleeps else of_files(files, gauge)
    )
    who = Identity(
        fallback=name, address=name, name=named(product), uuid=named(unique),
        device=device if isinstance(device, str) else "",
    )  # fmt: skip
    return device_of(readings, who)
