"""amdgpu_top's JSON: ``--json``, a line a moment, and ``-d --json``, a list of devices."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from hwledger.telemetry.amd.facts import rows, throttle_word
from hwledger.telemetry.amd.jsontext import documents
from hwledger.telemetry.amd.smi import at
from hwledger.telemetry.amd.telling import (
    MISSING,
    Identity,
    device_of,
    leaf,
    named,
    number,
    ratio,
    reading_of,
    text_of,
    told,
)
from hwledger.telemetry.parsing import digits_in
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import NOT_TOLD, Absent, Gauge, Reading, Reason, Value, number_of
from hwledger.telemetry.snapshot import DeviceSnapshot, ProcessSnapshot, Sample

SOURCE: Final = "amdgpu_top"
Tree = Mapping[str, Any]
_OLD_PROCESS: Final = re.compile(r"(?P<name>.{0,120}?) ?\((?P<pid>[0-9]{1,10})\)")
"""A key of ``fdinfo`` before amdgpu_top 0.2."""
MOST_PROCESSES: Final = 10_000


def recognises(text: str) -> bool:
    """Return whether a text holds amdgpu_top's JSON."""
    return any(True for _ in _trees(documents(text)))


def _trees(found: tuple[Any, ...]) -> Iterator[tuple[Tree, Tree]]:
    """Yield each device with the document that it stands in, what a stream says of it made one level."""
    for document in found:
        listed = document.get("devices", [document]) if isinstance(document, Mapping) else document
        for each in listed if isinstance(listed, list) else ():
            if isinstance(each, Mapping) and _is_one(each):
                info = each.get("Info")
                inner = info if isinstance(info, Mapping) else {}
                yield {**inner, **each}, document if isinstance(document, Mapping) else {}


def _is_one(node: Tree) -> bool:
    info = node.get("Info")
    return "amdgpu_top_version" in (info if isinstance(info, Mapping) else node) or (
        "VRAM" in node and "Sensors" in node and ("gpu_activity" in node or "GRBM" in node)
    )


def read(text: str) -> Sample:
    """Return what amdgpu_top says; of a stream the newest."""
    gauge = Gauge(SOURCE)
    found: dict[str, DeviceSnapshot] = {}
    for order, (tree, document) in enumerate(_trees(documents(text))):
        device = _device(tree, document, gauge, order)
        found[device.key] = device
    return Sample(devices=tuple(found.values()))


def _device(tree: Tree, document: Tree, gauge: Gauge, order: int) -> DeviceSnapshot:
    kind = tree.get("GPU Type")
    place = tree.get("DevicePath")
    place = place if isinstance(place, Mapping) else {}
    who = Identity(
        fallback=str(order),
        address=named(tree.get("PCI"), place.get("pci")),
        name=named(tree.get("DeviceName"), place.get("DeviceName")),
        unified={"APU": True, "dGPU": False}.get(kind) if isinstance(kind, str) else None,
    )
    return device_of(_readings(tree, document, gauge), who, _processes(tree, gauge))


def _look(tree: Tree, path: str) -> object:
    """Return what stands at a path; where null stands on the way, null."""
    node: object = tree
    for step in path.split("/"):
        if node is None or not isinstance(node, Mapping):
            return None if node is None else MISSING
        if step not in node:
            return MISSING
        node = node[step]
    return node if not isinstance(node, Mapping) or "value" in node else MISSING


def _readings(tree: Tree, document: Tree, gauge: Gauge) -> dict[Quantity, Reading]:
    found = told(rows("amdgpu_top"), lambda path: _look(tree, path), gauge)
    _exact(tree, gauge, found)
    rocm = at(tree, "ROCm Version", "/") if "ROCm Version" in tree else document.get("ROCm version", MISSING)
    if rocm is not MISSING:
        reading = text_of(gauge, Quantity.RUNTIME, rocm)
        found[Quantity.RUNTIME] = (
            replace(reading, value=f"ROCm {reading.value}") if isinstance(reading, Value) else reading
        )
    _fan(tree, gauge, found)
    _links(tree, gauge, found)
    throttled = _throttle(tree, gauge)
    if throttled is not None:
        found[Quantity.THROTTLE] = throttled
    return found


def _exact(tree: Tree, gauge: Gauge, found: dict[Quantity, Reading]) -> None:
    """Enter bytes in place of whole MiB where both were read at once: in a dump, not in a stream."""
    if "Info" in tree:
        return
    for quantity, key in (
        (Quantity.MEMORY_USED, "VRAM Usage Size"), (Quantity.SHARED_MEMORY_USED, "GTT Usage Size"),
    ):  # fmt: skip
        if key in tree:
            found[quantity] = reading_of(gauge, quantity, tree[key], "b")


def _fan(tree: Tree, gauge: Gauge, found: dict[Quantity, Reading]) -> None:
    now, most = _look(tree, "Sensors/Fan"), _look(tree, "Sensors/Fan Max")
    if now is None:
        found[Quantity.FAN] = gauge.absent(Reason.UNSUPPORTED, "it says null")
    elif now is not MISSING and most is not MISSING:
        share = ratio(gauge, Quantity.FAN, number(gauge, leaf(now)[0]), number(gauge, leaf(most)[0]))
        if share is not None:
            found[Quantity.FAN] = share


def _links(tree: Tree, gauge: Gauge, found: dict[Quantity, Reading]) -> None:
    """Enter the most that device and slot both can."""
    for quantity, key in ((Quantity.PCIE_GENERATION_MAX, "gen"), (Quantity.PCIE_WIDTH_MAX, "width")):
        said = (_look(tree, f"PCIe Link/{side}/{key}") for side in ("max_gpu_link", "max_system_link"))
        known = [reading_of(gauge, quantity, each) for each in said if each is not MISSING]
        values = [each for each in known if isinstance(each, Value)]
        if known:
            found[quantity] = min(values, key=lambda each: number_of(each) or 0) if values else known[0]


def _throttle(tree: Tree, gauge: Gauge) -> Reading | None:
    said = _look(tree, "gpu_metrics/Throttle Status")
    if said is None:
        return gauge.absent(Reason.UNSUPPORTED, "it says null")
    if not isinstance(said, list):
        return None
    words = {throttle_word(each) for each in said[:256] if isinstance(each, str)}
    return gauge(Quantity.THROTTLE, tuple(sorted(words)))


def _processes(tree: Tree, gauge: Gauge) -> tuple[ProcessSnapshot, ...] | Absent:
    listed = tree.get("fdinfo")
    if not isinstance(listed, Mapping):
        return NOT_TOLD
    found = (_process(pid, node, gauge) for pid, node in list(listed.items())[:MOST_PROCESSES])
    return tuple(each for each in found if each is not None)


def _process(pid: str, node: object, gauge: Gauge) -> ProcessSnapshot | None:
    named_so = _OLD_PROCESS.fullmatch(pid)
    number_of_process = digits_in(named_so["pid"] if named_so else pid)
    if not isinstance(node, Mapping) or number_of_process is None:
        return None
    inner = node.get("usage")
    usage = inner.get("usage", inner) if isinstance(inner, Mapping) else {}
    memory, shared = (
        reading_of(gauge, Quantity.MEMORY_USED, usage.get(name), "b")
        if isinstance(usage, Mapping)
        else NOT_TOLD
        for name in ("VRAM", "GTT")
    )
    name = named(node.get("name"), named_so["name"] if named_so else "")
    return ProcessSnapshot(number_of_process, name, memory, shared_memory=shared)
