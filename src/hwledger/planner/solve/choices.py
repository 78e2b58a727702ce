"""What can be varied: the types that an engine runs on a device, and how devices share a model."""

import csv
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol, runtime_checkable

from hwledger.device.spec import DeviceSpec
from hwledger.model.spec import ModelSpec
from hwledger.planner.engine import EngineProfile
from hwledger.planner.request import OptionValue
from hwledger.shipped import shipped_text

Layout = Mapping[str, OptionValue]


@runtime_checkable
class Shareable(Protocol):
    """An engine profile whose answers for one device hold for others."""

    def device_class(self, device: DeviceSpec) -> Hashable:
        """Return a key: devices of one class get the same answer but for context and usable bytes."""
        ...


@runtime_checkable
class Parallel(Protocol):
    """An engine profile that can share a model out over devices in several ways."""

    def layouts(self, spec: ModelSpec, count: int) -> Sequence[Layout]:
        """Return the options of every way in which ``count`` devices can share the model."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeChoice:
    """One type of weights or cache that an engine runs.

    Attributes:
        engine, kind, name: of the type; kind is ``weights`` or ``kv_cache``.
        vendors: of devices that run it; empty: all of the engine's.
        capability: least compute capability of an NVIDIA device; 0: any.
        source: who says so.
    """

    engine: str
    kind: str
    name: str
    vendors: frozenset[str]
    capability: float
    source: str

    def runs_on(self, device: DeviceSpec) -> bool:
        """Whether a device runs it; a device of unknown kind is taken to."""
        return _runs(device, self.vendors, self.capability)


def _runs(device: DeviceSpec, vendors: frozenset[str], capability: float) -> bool:
    if device.vendor in {"", "any"}:
        return True
    if vendors and device.vendor not in vendors:
        return False
    return not (device.vendor == "NVIDIA" and device.compute_capability) or (
        float(device.compute_capability) >= capability
    )


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of one of the solver's data files."""
    text = shipped_text("hwledger.planner.solve", f"data/{name}")
    return list(csv.DictReader(text.splitlines()))


@cache
def type_choices(engine: str, kind: str) -> tuple[TypeChoice, ...]:
    """Return the types that are tried on an engine, the largest first."""
    return tuple(
        TypeChoice(
            engine=engine, kind=kind, name=row["name"], vendors=frozenset(row["vendors"].split()),
            capability=float(row["capability"] or 0), source=row["source"],
        )
        for row in rows("types.csv") if row["engine"] == engine and row["kind"] == kind
    )  # fmt: skip


def types_on(engine: str, kind: str, devices: Sequence[DeviceSpec]) -> tuple[str | None, ...]:
    """Return the types to try on devices, as stored or the engine's default (``None``) first."""
    found = (c.name for c in type_choices(engine, kind) if all(c.runs_on(d) for d in devices))
    return (None, *found)


@cache
def _engine_row(engine: str) -> dict[str, str] | None:
    return next((row for row in rows("engines.csv") if row["engine"] == engine), None)


def engine_runs_on(engine: str, device: DeviceSpec, count: int = 1) -> bool:
    """Return whether an engine runs on so many of a device; an engine that is not listed is taken to."""
    row = _engine_row(engine)
    if row is None:
        return True
    if count > int(row["most_devices"]):
        return False
    return _runs(device, frozenset(row["vendors"].split()), float(row["capability"] or 0))


def counts_on(engine: str) -> tuple[int, ...]:
    """Return how many devices of one kind are tried on an engine: as many as a host holds."""
    row = _engine_row(engine)
    return tuple(int(count) for count in row["counts"].split()) if row else (1, 2, 4, 8)


def layouts_of(profile: EngineProfile, spec: ModelSpec, count: int) -> tuple[Layout, ...]:
    """Return the ways in which so many devices share a model; without a word from the engine, its default."""
    if isinstance(profile, Parallel):
        return tuple(profile.layouts(spec, count))
    return ({},)


def device_class(profile: EngineProfile, device: DeviceSpec) -> Hashable:
    """Return the key under which answers for a device are shared; the device itself where none may be."""
    return profile.device_class(device) if isinstance(profile, Shareable) else device


def layout_words(layout: Layout) -> str:
    """Return a layout as people write it: ``TP 4 x PP 2``, ``8 of 61 layers' experts in host memory``."""
    names = {
        "tensor_parallel_size": "TP", "pipeline_parallel_size": "PP", "data_parallel_size": "DP",
    }  # fmt: skip
    parts = [f"{short} {layout[name]}" for name, short in names.items() if layout.get(name, 1) != 1]
    if layout.get("enable_expert_parallel"):
        parts.append("EP")
    if "n_cpu_moe" in layout:
        parts.append(f"experts of {layout['n_cpu_moe']} layers in host memory")
    if "n_gpu_layers" in layout:
        parts.append(f"{layout['n_gpu_layers']} layers on devices")
    return " x ".join(parts)
