"""What amd-smi says of a device, as the tree that its JSON and its human form share."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from hwledger.telemetry.amd.facts import rows, throttle_word
from hwledger.telemetry.amd.telling import (
    MISSING,
    Identity,
    device_of,
    first,
    generation,
    leaf,
    named,
    number,
    ratio,
    reading_of,
    told,
)
from hwledger.telemetry.parsing import digits_in, measured, said_nothing
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import NOT_TOLD, Absent, Gauge, Reading, Reason, Value, number_of
from hwledger.telemetry.snapshot import DeviceSnapshot, ProcessSnapshot

SOURCE: Final = "amd-smi"
Tree = Mapping[str, Any]
_DEEPEST: Final = 12
_CLOCKS: Final = (
    (("sys", "gfx"), Quantity.CLOCK, Quantity.CLOCK_MAX),
    (("mem",), Quantity.CLOCK_MEMORY, Quantity.CLOCK_MEMORY_MAX),
)
UNSEEN: Final = "0 B for a process that runs: amd-smi tells its memory to root and the group render alone"


def plain(node: Any, depth: int = 0) -> Any:
    """Return a tree with names in lower case and underscores: spellings differ by version and form."""
    if depth < _DEEPEST and isinstance(node, Mapping):
        return {
            str(key).strip().lower().replace(" ", "_"): plain(each, depth + 1) for key, each in node.items()
        }
    if depth < _DEEPEST and isinstance(node, list):
        return [plain(each, depth + 1) for each in node]
    return node


def joined(trees: Iterable[Tree]) -> list[Tree]:
    """Return one tree per GPU: what is said later is newer, and replaces what was said before."""
    found: dict[object, dict[str, Any]] = {}
    for tree in trees:
        gpu = tree.get("gpu")
        found.setdefault(gpu if isinstance(gpu, int | str) else str(gpu), {}).update(tree)
    return list(found.values())


def device(tree: Tree, gauge: Gauge, order: int) -> DeviceSnapshot:
    """Return the device of one tree.

    Args:
        tree: as ``plain`` returns it.
        gauge: the source and the moment.
        order: its place among those of the output, where it has no number.
    """
    index = digits_in(tree.get("gpu"), most=4)
    asic, board = _branch(tree, "asic"), _branch(tree, "board")
    who = Identity(
        fallback=str(order if index is None else index), index=index,
        address=named(_branch(tree, "bus").get("bdf"), tree.get("bdf")),
        name=named(asic.get("market_name"), board.get("product_name"), tree.get("market_name")),
        uuid=named(tree.get("uuid"), tree.get("gpu_uuid")),
        device=named(asic.get("device_id"), tree.get("device_id")),
    )  # fmt: skip
    return device_of(readings(tree, gauge), who, processes(tree, gauge))


def _branch(tree: Tree, name: str) -> Tree:
    branch = tree.get(name)
    return branch if isinstance(branch, Mapping) else {}


def at(tree: Tree, path: str, separator: str = ".") -> object:
    """Return what stands at a path; ``MISSING`` where nothing does."""
    node: object = tree
    for step in path.split(separator):
        if not isinstance(node, Mapping):
            return node if step and _says_nothing(node) else MISSING
        if step not in node:
            return MISSING
        node = node[step]
    return node if not isinstance(node, Mapping) or "value" in node else MISSING


def _says_nothing(node: object) -> bool:
    """Return whether a whole branch is one sentinel: ``"energy": "N/A"``."""
    return isinstance(node, str) and said_nothing(node) is not None


def readings(tree: Tree, gauge: Gauge) -> dict[Quantity, Reading]:
    """Return what a tree says of its device."""
    found = told(rows("amd_smi"), lambda path: at(tree, path), gauge)
    _levels(tree, gauge, found)
    _fan(tree, gauge, found)
    _link(tree, gauge, found)
    throttled = throttle(tree, gauge)
    if throttled is not None:
        found[Quantity.THROTTLE] = throttled
    return found


def _levels(tree: Tree, gauge: Gauge, found: dict[Quantity, Reading]) -> None:
    """Enter the clocks of ``static --clock``: a table of levels and which one is in force."""
    for names, now, most in _CLOCKS:
        for name in names:
            clock = _branch(_branch(tree, "clock"), name)
            levels = _branch(clock, "frequency_levels")
            speeds = {key: reading_of(gauge, most, each, "mhz") for key, each in levels.items()}
            current = leaf(clock.get("current_level"))[0]
            reading = speeds.get(f"level_{current}")
            if reading is not None:
                found.setdefault(now, reading)
            highest = max(speeds.values(), key=lambda each: number_of(each) or -1.0, default=None)
            if highest is not None:
                found.setdefault(most, highest)


def _fan(tree: Tree, gauge: Gauge, found: dict[Quantity, Reading]) -> None:
    """Enter the fan as speed over its highest where no share of it is told."""
    if not isinstance(found.get(Quantity.FAN), Value):
        fan = _branch(tree, "fan")
        share = ratio(gauge, Quantity.FAN, number(gauge, fan.get("speed")), number(gauge, fan.get("max")))
        if share is not None:
            found[Quantity.FAN] = share


def _link(tree: Tree, gauge: Gauge, found: dict[Quantity, Reading]) -> None:
    for quantity, paths in (
        (Quantity.PCIE_GENERATION, ("pcie.speed", "pcie.current_speed")),
        (Quantity.PCIE_GENERATION_MAX, ("bus.max_pcie_speed",)),
    ):
        said = [each for each in (at(tree, path) for path in paths) if each is not MISSING]
        best = first([*_stated(tree, gauge, quantity), *(generation(gauge, quantity, each) for each in said)])
        if best is not None:
            found[quantity] = best


def _stated(tree: Tree, gauge: Gauge, quantity: Quantity) -> list[Reading]:
    """Return the generation that ``PCIE_INTERFACE_VERSION: Gen 5`` states."""
    said = at(tree, "bus.pcie_interface_version")
    if quantity is not Quantity.PCIE_GENERATION_MAX or not isinstance(said, str):
        return []
    return [measured(gauge, quantity, said.strip().removeprefix("Gen").strip())]


def throttle(tree: Tree, gauge: Gauge) -> Reading | None:
    """Return what holds the clocks down; ``None`` where the output has no word on it."""
    block = tree.get("throttle")
    states = {
        key.removesuffix("_violation_status"): set(_words(each))
        for key, each in (block.items() if isinstance(block, Mapping) else ())
        if key.endswith("_violation_status")
    }
    active = sorted({throttle_word(name) for name, said in states.items() if "ACTIVE" in said})
    status = at(tree, "power.throttle_status")
    if active or any("NOT ACTIVE" in said for said in states.values()):
        return gauge(Quantity.THROTTLE, tuple(active))
    if isinstance(status, str):
        return _status(status, gauge)
    if block is None:
        return None
    return gauge.absent(Reason.UNSUPPORTED, "the whole throttle block says N/A")


def _words(node: object, depth: int = 0) -> Iterator[str]:
    """Yield the states in a field: one, or one for each part of each partition (ROCm 7)."""
    value, _ = leaf(node)
    if isinstance(value, Mapping | list) and depth < _DEEPEST:
        for each in list(value.values() if isinstance(value, Mapping) else value)[:256]:
            yield from _words(each, depth + 1)
    elif isinstance(value, str):
        yield from (word.strip().upper() for word in value.strip("[] ").split(","))


def _status(said: str, gauge: Gauge) -> Reading:
    known = {"UNTHROTTLED": (), "THROTTLED": ("not told by what",)}.get(said.strip().upper())
    if known is not None:
        return gauge(Quantity.THROTTLE, known)
    return said_nothing(said, gauge.source) or gauge.absent(Reason.UNPARSED, f"no state: {said[:80]!r}")


def processes(tree: Tree, gauge: Gauge) -> tuple[ProcessSnapshot, ...] | Absent:
    """Return the processes that a tree lists; ``NOT_TOLD`` where it has no list."""
    listed = tree.get("process_list", tree.get("process_info", MISSING))
    if listed is MISSING:
        return NOT_TOLD
    if isinstance(listed, str) and "no running" not in listed.lower():
        return said_nothing(listed, gauge.source) or gauge.absent(
            Reason.UNPARSED, f"no list: {listed[:80]!r}"
        )
    nodes = listed if isinstance(listed, list) else [listed]
    inner = [each.get("process_info", each) if isinstance(each, Mapping) else each for each in nodes]
    return tuple(_process(each, gauge) for each in inner if isinstance(each, Mapping) and "pid" in each)


def _process(node: Tree, gauge: Gauge) -> ProcessSnapshot:
    memory = first(_memory(node, gauge, ("memory_usage.vram_mem", "mem_usage", "vram_mem", "mem")))
    shared = first(_memory(node, gauge, ("memory_usage.gtt_mem", "gtt_mem")))
    if isinstance(memory, Value) and not memory.value and not (isinstance(shared, Value) and shared.value):
        memory = shared = gauge.absent(Reason.NO_PERMISSION, UNSEEN)
    return ProcessSnapshot(
        pid=digits_in(leaf(node.get("pid"))[0]),
        name=named(node.get("name")),
        memory=memory or gauge.absent(Reason.UNSUPPORTED, "this version tells no memory of processes"),
        shared_memory=shared or NOT_TOLD,
    )


def _memory(node: Tree, gauge: Gauge, paths: tuple[str, ...]) -> list[Reading]:
    said = (at(node, path) for path in paths)
    return [reading_of(gauge, Quantity.MEMORY_USED, each, "b") for each in said if each is not MISSING]
