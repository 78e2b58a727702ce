"""The log of llama.cpp's programs: buffers by device, context, slots, and its table of memory.

Lines of buffers are printed from ``-lv 4`` on since the end of 2025, and always before. A log may hold
several loads and dry runs; the last load counts. Sources: llama.cpp ``src/llama-model.cpp``,
``src/llama-kv-cache.cpp``, ``src/llama-memory-recurrent.cpp``, ``src/llama-context.cpp``, ``tools/server``,
2023 to b11549.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from hwledger.telemetry.engines.llama_table import HEADER, Table, last_table
from hwledger.telemetry.engines.sizes import Devices, Told, count_in, explained, frozen, named, with_sums
from hwledger.telemetry.parsing import checked, measured
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Basis, Gauge, Reason, Value, number_of
from hwledger.telemetry.snapshot import EngineSnapshot, ModelSnapshot, Sample

SOURCE: Final = "llama.cpp log"
_BUFFER: Final = re.compile(
    r"(?P<where>[a-z_]\w{2,60}):\s+(?P<device>[A-Za-z]\S{0,59})\s+(?:(?P<kind>model|KV|RS|compute|output) )?"
    r"buffer size\s*=\s*(?P<size>[0-9]{1,12}(?:\.[0-9]{1,6})? MiB)"
)
_LOADING: Final = re.compile(r"load_model: loading (?P<draft>draft )?model '(?P<name>[^'\n]{1,400})'")
_META: Final = re.compile(
    r"llama_model_loader: loaded meta data with .{1,80} from (?P<name>.{1,400}?) \(version "
    r"|llama\.cpp: loading model from (?P<early>.{1,400})"
)
_SLOTS: Final = re.compile(
    r"initializing(?: slots)?, n_slots = (?P<slots>[0-9]{1,6})(?![0-9])"
    r"(?:, n_ctx_slot = (?P<context>[0-9]{1,12})(?![0-9]))?"
    r"|initializing slots\b.{0,120}\bn_slots=(?P<old_slots>[0-9]{1,6})(?![0-9])"
    r"|\bnew slot\b.{0,120}\bn_ctx(?:_slot)? ?= ?(?P<old_context>[0-9]{1,12})(?![0-9])"
)
_CONTEXT: Final = re.compile(
    r"(?:llama_context|llama_new_context_with_model|llama_init_from_model|llama_model_load_internal):"
    r" n_ctx\s+= ([0-9]{1,12})\s*$"
)
_TYPES: Final = re.compile(
    r"\bK \((?P<k>\w{1,12})\):.{0,60}\bV \((?P<v>\w{1,12})\):|\bc\^KV \((?P<latent>\w{1,12})\):"
)
_STATED: Final = re.compile(
    r"(?:(?:KV|kv) self size\s{1,4}|llama_kv_cache\w{0,20}: size )= {1,12}"
    r"(?P<size>[0-9]{1,12}\.[0-9]{2}) Mi?B"
)
"""The size of a cache over all devices."""
_CELLS: Final = re.compile(r"llama_kv_cache_init: kv_size = ([0-9]{1,12}),")
_COUNTED: Final = re.compile(r"[0-9.]{1,12} ?[KMBT]")
_ON_DEVICES: Final = re.compile(r"\bVRAM used: ([0-9]{1,12}(?:\.[0-9]{1,6})? MB)\b")
_EARLY_TYPE: Final = re.compile(r"[0-9]{1,3} \((?P<name>[^)]{1,60})\)")
_SPELLED: Final = {"mb": "mib"}
"""Until the end of 2023 MiB were printed as MB."""
_FACT: Final = re.compile(
    r"(?:print_info|llm_load_print_meta|llama_model_load_internal):"
    r" (?P<key>file type|model ftype|ftype|file size|model size|model params)"
    r"\s*=\s*(?P<value>[^\n]{1,80})"
)
_BUILD: Final = re.compile(
    r"build_info: (?P<a>[\w.-]{1,60})|\bbuild: (?P<b>[0-9]{1,8}) \(|\bmain: build = (?P<c>[0-9]{1,8}) \("
    r"|\bbuild info \|.{0,120}\bbuild=(?P<d>[0-9]{1,8}) "
)
_KNOWN: Final = re.compile(
    r"buffer size\s*=\s*[0-9]|load_model: (?:loading|initializing)|initializing(?: slots)?, n_slots ="
    r"|llama_model_loader: loaded meta data"
)
_OTHERS: Final = ("clip", "alloc_compute_meta", "mtmd")
_KINDS: Final = {
    "model": Quantity.WEIGHTS_BYTES, "KV": Quantity.KV_CACHE_BYTES, "RS": Quantity.STATE_BYTES,
    "compute": Quantity.COMPUTE_BYTES,
}  # fmt: skip
_BYTES: Final = tuple(_KINDS.values())
_MIB: Final = 1 << 20
_MAPPED: Final = "_Mapped"
_NO_BUFFERS: Final = "the log has no lines of buffers; start the server with -lv 4 for them"
_SPANNED: Final = (
    "a mapped buffer spans the file, with what is on other devices too: buffers are not to be added"
)


@dataclass
class _Load:
    """One model that was loaded."""

    name: str = ""
    draft: bool = False
    sizes: dict[Quantity, dict[str, list[float]]] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    stated: list[float] = field(default_factory=list)
    """MiB of each cache, over all devices."""
    after: bool = False
    """Something behind the weights was seen: more weights are those of another load."""
    last_line: int = -1


def is_llama_log(text: str) -> bool:
    """Whether a text is a log of llama.cpp, or of a program that runs it."""
    return any(each.search(text) for each in (_KNOWN, _STATED, HEADER))


def read_llama_log(text: str) -> Sample:
    """Return what the last load of a log says, and of its draft model where there is one."""
    gauge = Gauge(SOURCE, basis=Basis.LOGGED)
    lines = text.split("\n")
    loads, build = _loads(lines)
    main = next((load for load in reversed(loads) if not load.draft), _Load())
    drafts = [load for load in loads[loads.index(main) :] if load.draft][-1:] if main in loads else []
    table = last_table(lines, gauge)
    notes: list[str] = []
    models = [_model(main, table, gauge, notes), *(_model(draft, None, gauge, notes) for draft in drafts)]
    told = _of_engine(main, gauge)
    engine = EngineSnapshot(
        "llama.cpp",
        build,
        models=tuple(models),
        readings=MappingProxyType(told),
        notes=tuple(dict.fromkeys(notes)),
    )
    return explained(Sample(engines=(engine,)), SOURCE, "it says nothing of memory, slots or context")


def _loads(lines: Iterable[str]) -> tuple[list[_Load], str]:
    loads: list[_Load] = []
    build = ""
    for number, line in enumerate(lines):
        if found := _BUILD.search(line):
            build = build or found["a"] or f"b{found['b'] or found['c'] or found['d']}"
        if found := _LOADING.search(line):
            loads.append(_Load(named(found["name"]), bool(found["draft"])))
        elif found := _META.search(line):
            _enter_meta(loads, named(found["name"] or found["early"]))
        elif found := _BUFFER.search(line):
            _enter_buffer(loads, found, number)
        else:
            _enter_fact(loads, line)
    return loads, build


def _enter_meta(loads: list[_Load], name: str) -> None:
    if not loads or loads[-1].after or loads[-1].sizes:
        loads.append(_Load(name))
    loads[-1].name = loads[-1].name or name


def _enter_buffer(loads: list[_Load], found: re.Match[str], number: int) -> None:
    kind = found["kind"] or ("model" if "load_tensors" in found["where"] else "")
    if kind not in _KINDS or found["where"].startswith(_OTHERS):
        return
    if not loads or (kind == "model" and loads[-1].after):
        loads.append(_Load())
    load, quantity = loads[-1], _KINDS[kind]
    if kind in {"KV", "RS"}:
        _begin_context(load)
    load.after = load.after or kind != "model"
    load.last_line = number
    sizes = load.sizes.setdefault(quantity, {})
    size = float(found["size"].removesuffix(" MiB"))
    before = [] if kind == "compute" else sizes.get(found["device"], [])  # one buffer, reserved again
    sizes[found["device"]] = [*before, size]


def _begin_context(load: _Load) -> None:
    """Forget the context before, where one was complete: it is made anew."""
    if Quantity.COMPUTE_BYTES in load.sizes:
        for each in (Quantity.KV_CACHE_BYTES, Quantity.STATE_BYTES, Quantity.COMPUTE_BYTES):
            load.sizes.pop(each, None)
        load.stated.clear()


def _enter_stated(load: _Load, found: re.Match[str]) -> None:
    """Enter the size of a cache; one that is called that of the context itself stands for all before it."""
    _begin_context(load)
    if "self" in found[0]:
        load.stated.clear()
    load.stated.append(float(found["size"]))


def _enter_fact(loads: list[_Load], line: str) -> None:
    if found := _FACT.search(line):
        if not loads or loads[-1].after:
            loads.append(_Load())
        key, value = found["key"], found["value"].strip()
        loads[-1].facts["model params" if _COUNTED.fullmatch(value) else key] = value  # sizes were so called
        return
    for pattern in (_SLOTS, _TYPES):
        if found := pattern.search(line):
            load = _current(loads)
            load.facts |= {key.removeprefix("old_"): text for key, text in found.groupdict().items() if text}
            load.after = True
    if found := _STATED.search(line):
        _enter_stated(_current(loads), found)
    if found := _ON_DEVICES.search(line):
        _current(loads).facts["on devices"] = found[1]
    if found := _CELLS.search(line):
        _current(loads).facts.setdefault("n_ctx", found[1])
    if found := _CONTEXT.search(line):
        load = _current(loads)
        load.facts["n_ctx"] = found[1]
        load.after = load.after or "model_load" not in found[0]  # until 2023 it stood among the model's facts


def _current(loads: list[_Load]) -> _Load:
    if not loads:
        loads.append(_Load())
    return loads[-1]


def _of_engine(load: _Load, gauge: Gauge) -> Told:
    pairs = ((Quantity.SLOTS, "slots"), (Quantity.CONTEXT, "context"), (Quantity.KV_CACHE_TOKENS, "n_ctx"))
    return {name: measured(gauge, name, load.facts[key]) for name, key in pairs if key in load.facts}


def _model(load: _Load, table: tuple[int, Table] | None, gauge: Gauge, notes: list[str]) -> ModelSnapshot:
    devices = _by_device(load, gauge)
    notes.extend(table[1].unaccounted if table is not None else ())
    if table is not None and not devices:
        devices = table[1].devices
        told = with_sums(gauge, devices, _BYTES)
    elif devices:
        told = {**with_sums(gauge, devices, _BYTES), **_weights(load, devices, gauge, notes)}
    else:
        told = dict.fromkeys(
            (Quantity.WEIGHTS_BYTES, Quantity.KV_CACHE_BYTES, Quantity.COMPUTE_BYTES),
            gauge.absent(Reason.UNSUPPORTED, _NO_BUFFERS),
        )
    if table is not None and not table[1].dry and table[0] > load.last_line:
        told = with_sums(gauge, table[1].devices, _BYTES) | told
    if table is None or load.sizes:
        told |= _whole_cache(load, told, gauge)
    told |= _facts(load, gauge)
    loaded = True if load.after or any(isinstance(each, Value) for each in told.values()) else None
    return ModelSnapshot(load.name, loaded=loaded, readings=MappingProxyType(told), devices=frozen(devices))


def _whole_cache(load: _Load, told: Told, gauge: Gauge) -> Told:
    """Return the size of the caches as stated, where more is stated than buffers are shown.

    A dry run makes no buffers, and of a log that was cut or filtered some lines of buffers are missing.
    """
    shown = number_of(told.get(Quantity.KV_CACHE_BYTES)) or 0
    if sum(load.stated) * _MIB <= shown + _MIB:
        return {}
    of = gauge if len(load.stated) == 1 else Gauge(gauge.source, gauge.at, Basis.DERIVED)
    return {Quantity.KV_CACHE_BYTES: checked(of, Quantity.KV_CACHE_BYTES, sum(load.stated) * _MIB)}


def _by_device(load: _Load, gauge: Gauge) -> Devices:
    found: Devices = {}
    derived = Gauge(gauge.source, gauge.at, Basis.DERIVED)
    for quantity, sizes in load.sizes.items():
        for device, parts in sizes.items():
            of = gauge if len([part for part in parts if part]) < 2 else derived  # noqa: PLR2004 - a sum
            found.setdefault(device, {})[quantity] = checked(of, quantity, sum(parts) * _MIB)
    return found


def _weights(load: _Load, devices: Devices, gauge: Gauge, notes: list[str]) -> Told:
    """Return the weights of the model where buffers do not add up to them.

    A mapped buffer spans the part of the file from the first to the last tensor that it holds, and so what
    other devices have copied out of it: with others beside it, the size of the file counts.
    """
    holding = [name for name, told in devices.items() if Quantity.WEIGHTS_BYTES in told]
    stated = load.facts.get("file size") or load.facts.get("model size")
    if stated:
        size = measured(gauge, Quantity.WEIGHTS_BYTES, stated.partition("(")[0])
        if not any(name.endswith(_MAPPED) for name in holding) or len(holding) == 1:
            return {}
        notes.append(_SPANNED)
        return {Quantity.WEIGHTS_BYTES: size}
    if len(holding) > 1 and any(name.endswith(_MAPPED) for name in holding):
        notes.append(_SPANNED)
        return {Quantity.WEIGHTS_BYTES: gauge.absent(Reason.UNPARSED, _SPANNED)}
    return {}


def _facts(load: _Load, gauge: Gauge) -> Told:
    facts, told = load.facts, Told()
    early = _EARLY_TYPE.fullmatch(facts.get("ftype", ""))
    kind = facts.get("file type") or facts.get("model ftype") or (early["name"] if early else "")
    if "on devices" in facts:
        whole = measured(gauge, Quantity.MODEL_DEVICE_BYTES, facts["on devices"], "", _SPELLED)
        told[Quantity.MODEL_DEVICE_BYTES] = whole
    if kind:
        told[Quantity.QUANTISATION] = gauge(Quantity.QUANTISATION, named(kind))
    if "model params" in facts:
        told[Quantity.PARAMETERS] = count_in(facts["model params"], gauge)
    if "latent" in facts:
        told[Quantity.KV_CACHE_TYPE] = gauge(Quantity.KV_CACHE_TYPE, facts["latent"])
    elif "k" in facts:
        same = facts["k"] == facts["v"]
        types = facts["k"] if same else f"{facts['k']} keys, {facts['v']} values"
        told[Quantity.KV_CACHE_TYPE] = gauge(Quantity.KV_CACHE_TYPE, types)
    return told
