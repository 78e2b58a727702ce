"""``nvidia-smi -q`` as XML and as indented text: one tree, one reading.

Which names are there decides, never the number of the DTD: drivers 525 and 536 both write version 12 and name
power and event reasons differently.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

from hwledger.telemetry.nvidia.facts import shares_memory
from hwledger.telemetry.nvidia.fields import is_several, memory_notes, readings, throttle
from hwledger.telemetry.nvidia.smi_csv import SOURCE, VENDOR, key_of, name_of, uuid_of
from hwledger.telemetry.parsing import measured
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reading, Reason, bytes_of
from hwledger.telemetry.recorded import Format
from hwledger.telemetry.snapshot import DeviceSnapshot, ProcessSnapshot, Sample
from hwledger.units import whole_number

Q = Quantity
_ROOT: Final = "nvidia_smi_log"
_LINE: Final = re.compile(
    r"^(?P<indent> *)(?P<name>[A-Za-z][\w ./:-]*?)\s*(?:(?<=\s):(?:\s+(?P<value>.*))?)?$"
)
_GPU: Final = re.compile(r"^(?:GPU|vGPU) (?P<address>[0-9A-Fa-f]{4,8}:[0-9A-Fa-f:.]+)\s*$")
_EVENT: Final = re.compile(r"(?:clocks_(?:event|throttle)_reasons?_)?(?P<name>[a-z_]+)")
_EVENTS: Final = ("clocks_event_reasons", "clocks_throttle_reasons")
_DEEPEST: Final = 12
_MOST_NODES: Final = 200_000
UNNAMED: Final = "the text names no device that these processes run on"


@dataclass(slots=True)
class Node:
    """One name with its value, and what stands below it.

    Attributes:
        name: an XML tag, or a label in lower case with underscores for blanks.
        value: its text; empty where there is none.
        below: nodes below it, in order.
        whole: its element was closed, in XML.
    """

    name: str
    value: str = ""
    below: "list[Node]" = field(default_factory=list)
    whole: bool = False

    def all(self, name: str) -> "Iterator[Node]":
        """Yield every node of that name directly below."""
        return (each for each in self.below if each.name == name)

    def find(self, path: str) -> "Node | None":
        """Return the first node at a path like ``pci/pci_bus_id``."""
        here: Node | None = self
        for name in path.split("/"):
            here = next(here.all(name), None) if here is not None else None
        return here

    def text(self, path: str) -> str | None:
        """Return the value at a path; ``None`` where nothing is there."""
        found = self.find(path)
        return None if found is None else found.value


def is_xml(text: str) -> bool:
    """Whether a text is nvidia-smi's XML."""
    return f"<{_ROOT}" in text[:4096] or ("<fb_memory_usage>" in text and "<gpu " in text)


def read_xml(text: str) -> Sample:
    """Return the devices of the last document of a text; of one that breaks off, those that are whole."""
    start = text.rfind(f"<{_ROOT}")
    whole = text[max(start, 0) :]
    if "<!ENTITY" in text:
        why = Absent(Reason.UNPARSED, "it declares entities, which nvidia-smi does not", SOURCE)
        return Sample(troubles=(f"nvidia-smi -q -x: {why.detail}",), failure=why)
    root, broken = _parsed(whole if start >= 0 else f"<{_ROOT}>{_without_prolog(text)}</{_ROOT}>")
    return _sample(root, list(root.all("gpu")), [broken] if broken else [])


def _without_prolog(text: str) -> str:
    return re.sub(r"<\?xml[^>]*\?>|<!DOCTYPE[^>]*>", "", text)


def _parsed(text: str) -> tuple[Node, str]:
    """Return the tree, and what is wrong with the document; of a broken one what is before the break."""
    parser: XMLPullParser[Any] = XMLPullParser(("start", "end"))
    problem = ""
    try:
        parser.feed(text)
        parser.close()
    except (ParseError, ValueError) as error:
        problem = f"nvidia-smi -q -x: the document is broken ({error}); devices before the break are read"
    root = Node(_ROOT)
    stack: list[Node] = []
    try:
        for each in parser.read_events():
            event: Any = each
            _grow(root, stack, event[0], event[1])
    except ParseError:
        pass  # said already
    for node in [each for each in root.below if each.name == "gpu" and not each.whole]:
        root.below.remove(node)  # a device that the break cut
    return root, problem


def _grow(root: Node, stack: "list[Node]", event: str, element: Element) -> None:
    if event == "start":
        if element.tag != _ROOT and len(stack) < _DEEPEST:
            node = Node(element.tag, element.get("id", ""))
            (stack[-1] if stack else root).below.append(node)
            stack.append(node)
        return
    if stack and stack[-1].name == element.tag:
        node = stack.pop()
        text = " ".join((element.text or "").split())
        node.value, node.whole = text or node.value, True
    element.clear()


def is_text(text: str) -> bool:
    """Whether a text is the long form that people read, or a part of it."""
    long = "NVSMI LOG" in text[:8192] or re.search(r"^\s*Used GPU Memory\s+: ", text, re.MULTILINE)
    return bool(long) and not is_several(text)


def read_text(text: str) -> Sample:
    """Return the devices of ``nvidia-smi -q``; where a text holds several looks, of the last."""
    last = text[max(text.rfind("NVSMI LOG"), 0) :]
    root = _indented(last.splitlines())
    devices = [each for each in root.below if each.name == "gpu"]
    return _sample(root, devices, [])


def _indented(lines: Sequence[str]) -> Node:
    root = Node(_ROOT)
    stack: list[tuple[int, Node]] = [(-1, root)]
    for line in lines[:_MOST_NODES]:
        found, device = _LINE.match(line.expandtabs()), _GPU.match(line)
        if found is None and device is None:
            continue
        indent = 0 if device else len(found["indent"]) if found else 0
        node = Node("gpu", device["address"]) if device else _labelled(found)
        while stack[-1][0] >= indent:
            stack.pop()
        stack[-1][1].below.append(node)
        if len(stack) < _DEEPEST:
            stack.append((indent, node))
    return root


def _labelled(found: "re.Match[str] | None") -> Node:
    name = found["name"] if found else ""
    label = re.sub(r"[ .-]+", "_", name.strip().lower())
    return Node(label, ((found["value"] if found else "") or "").strip())


def _sample(root: Node, devices: "list[Node]", troubles: list[str]) -> Sample:
    told = whole_number(root.text("attached_gpus") or "")
    numbered = told is None or told == len(devices)
    found: list[DeviceSnapshot] = []
    for number, node in enumerate(devices):
        found += _device(root, node, number if numbered else None, number)
    if not devices:
        held = _processes(root)
        if isinstance(held, tuple) and held:
            found.append(DeviceSnapshot(f"{VENDOR}-0", "", VENDOR, processes=held, notes=(UNNAMED,)))
        else:
            troubles = [*troubles, "nvidia-smi -q: it tells of no device"]
    return Sample(devices=tuple(found), troubles=tuple(troubles))


def _device(root: Node, node: Node, index: int | None, number: int) -> Iterator[DeviceSnapshot]:
    """Yield a device and its slices."""
    gauge = Gauge(SOURCE)
    address = node.text("pci/pci_bus_id") or node.text("pci/bus_id") or node.value
    uuid = node.text("uuid") or node.text("gpu_uuid") or ""
    found = readings(lambda path: _text(root, node, path), "path", gauge)
    for quantity, told in (
        (Q.THROTTLE, _held_down(node, gauge)),
        (Q.ERRORS_UNCORRECTED, _errors(node, gauge)),
    ):
        if told is not None:
            found.setdefault(quantity, told)
    key = key_of(address, uuid, index, number)
    name = name_of(node.text("product_name") or "")
    processes = _processes(node)
    slices = [
        *node.all("mig_device"),
        *(each for group in node.all("mig_devices") for each in group.all("mig_device")),
    ]
    yield DeviceSnapshot(
        key, name, VENDOR, index=index, uuid=uuid_of(uuid), unified=shares_memory(name) or None,
        readings=found, notes=memory_notes(found),
        processes=processes,
    )  # fmt: skip
    for each in slices:
        yield _slice(each, key, name, node)


def _text(root: Node, node: Node, path: str) -> str | None:
    found = node.text(path)
    return found if found is not None or "/" in path else root.text(path)


def _held_down(node: Node, gauge: Gauge) -> Reading | None:
    told: list[tuple[str, str]] = []
    for group in (each for name in _EVENTS for each in node.all(name)):
        if not group.below and group.value:
            return measured(gauge, Q.THROTTLE, group.value) if group.value.lower() != "none" else None
        for each in (*group.below, *(inner for outer in group.below for inner in outer.below)):
            match = _EVENT.fullmatch(each.name)
            told.append((match["name"] if match else each.name, each.value))
    return throttle(told, gauge)


def _errors(node: Node, gauge: Gauge) -> Reading | None:
    """Return the errors that were not corrected since the driver was loaded: the sum of their kinds."""
    volatile = node.find("ecc_errors/volatile")
    kinds = [each.value for each in volatile.below if "uncorrectable" in each.name] if volatile else []
    told = [measured(gauge, Q.ERRORS_UNCORRECTED, text) for text in kinds]
    counts = [number for each in told if (number := bytes_of(each)) is not None]
    return gauge(Q.ERRORS_UNCORRECTED, sum(counts)) if counts else next(iter(told), None)


def _slice(node: Node, parent: str, name: str, device: Node) -> DeviceSnapshot:
    gauge = Gauge(SOURCE)
    ids = node.text("gpu_instance_id") or "", node.text("compute_instance_id") or ""
    held = _processes(device)
    mine = tuple(p for p in _told(device) if _ids(p) == ids) if isinstance(held, tuple) else ()
    return DeviceSnapshot(
        f"{parent}/{ids[0]}/{ids[1]}", f"{name} MIG {node.text('index') or ''}".strip(), VENDOR, "mig",
        index=whole_number(node.text("index") or ""), parent=parent,
        readings=readings(node.text, "path", gauge),
        processes=tuple(_process(each) for each in mine) if isinstance(held, tuple) else held,
    )  # fmt: skip


def _processes(node: Node) -> tuple[ProcessSnapshot, ...] | Absent:
    group = node.find("processes")
    if group is None and not any(node.all("process_id")):
        return Absent(Reason.UNSUPPORTED, "it tells of no processes", SOURCE)
    if group is not None and not group.below and group.value and group.value.lower() != "none":
        return Absent(Reason.UNSUPPORTED, f"it says {group.value[:60]!r}", SOURCE)
    return tuple(_process(each) for each in _told(node))


def _told(node: Node) -> list[Node]:
    """Return a node for each process with all that is told of it, whichever form it has."""
    group = node.find("processes") or node
    found = list(group.all("process_info"))
    ids: list[Node] = []
    for each in group.below:
        if each.name in {"gpu_instance_id", "compute_instance_id"}:
            ids.append(each)
        elif each.name == "process_id":
            found.append(Node("process_info", "", [*ids, Node("pid", each.value), *each.below]))
            ids = []
    return found


def _ids(node: Node) -> tuple[str, str]:
    return node.text("gpu_instance_id") or "", node.text("compute_instance_id") or ""


def _process(node: Node) -> ProcessSnapshot:
    memory = node.text("used_memory") or node.text("used_gpu_memory") or ""
    kinds = (node.text("type") or "").upper()
    kind = "+".join(
        word for letter, word in (("C", "compute"), ("G", "graphics")) if letter in kinds.split("+")
    )
    name = name_of(node.text("process_name") or node.text("name") or "")
    return ProcessSnapshot(
        whole_number(node.text("pid") or ""),
        name,
        measured(Gauge(SOURCE), Q.MEMORY_USED, memory, "MiB"),
        kind,
    )


FORMATS: Final = (
    Format("nvidia-smi -q -x", is_xml, read_xml),
    Format("nvidia-smi -q", is_text, read_text),
)
