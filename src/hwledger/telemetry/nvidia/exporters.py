"""Pages of nvidia_gpu_exporter and dcgm-exporter: the driver's values as others publish them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from hwledger.library.serving.metrics import Series, read_page
from hwledger.telemetry.merge import pci_key
from hwledger.telemetry.nvidia.facts import shares_memory
from hwledger.telemetry.nvidia.fields import memory_notes, readings, throttle
from hwledger.telemetry.nvidia.smi_csv import VENDOR, name_of, uuid_of
from hwledger.telemetry.parsing import checked, said_nothing
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reading, Reason
from hwledger.telemetry.recorded import Format
from hwledger.telemetry.snapshot import DeviceSnapshot, ProcessSnapshot, Sample
from hwledger.units import whole_number

SMI: Final = "nvidia_gpu_exporter"
DCGM: Final = "dcgm-exporter"
_PREFIX: Final = "nvidia_smi_"
_INFO: Final = "nvidia_smi_gpu_info"
_APP: Final = "nvidia_smi_compute_app_"
_EVENT: Final = re.compile(r"nvidia_smi_clocks_(?:event|throttle)_reasons_(?P<name>[a-z_]+)")
_FAILED: Final = "nvidia_smi_last_collect_success"
NO_VALUE: Final = "<<<NULL>>>"
_IS_SMI: Final = re.compile(r"^nvidia_smi_[a-z_]+\{", re.MULTILINE)
_IS_DCGM: Final = re.compile(r"^DCGM_FI_[A-Z0-9_]+\{", re.MULTILINE)


def is_smi(text: str) -> bool:
    """Whether a page is of nvidia_gpu_exporter."""
    return _IS_SMI.search(text) is not None


def read_smi(text: str) -> Sample:
    """Return the devices of a page of nvidia_gpu_exporter."""
    page = read_page(text)
    rows = [each for each in page.series if each.name.startswith(_PREFIX)]
    devices = tuple(_smi_device(uuid, found) for uuid, found in _by(rows, "uuid").items() if uuid)
    stale = any(each.name == _FAILED and each.value == 0 for each in rows)
    troubles = [f"{SMI}: its last look failed; values are those of the look before"] if stale else []
    return Sample(devices=devices, troubles=(*troubles, *_damaged(SMI, page.damaged)))


def _damaged(name: str, lines: int) -> Iterator[str]:
    if lines:
        yield f"{name}: {lines} lines are damaged and left out"


def _by(rows: Sequence[Series], *labels: str) -> dict[str, list[Series]]:
    found: dict[str, list[Series]] = {}
    for row in rows:
        key = next((row.labels[label] for label in labels if row.labels.get(label)), "")
        found.setdefault(key, []).append(row)
    return found


def _smi_device(uuid: str, rows: Sequence[Series]) -> DeviceSnapshot:
    gauge = Gauge(SMI)
    info: Mapping[str, str] = next((row.labels for row in rows if row.name == _INFO), {})
    told = {row.name.removeprefix(_PREFIX): row.value for row in rows if not row.name.startswith(_APP)}

    def ask(name: str) -> str | None:
        value = told.get(name)
        return info.get(name) if value is None else f"{value!r}{_unit(name)}"

    found = readings(ask, "exporter", gauge)
    events = [(m["name"], str(row.value)) for row in rows if (m := _EVENT.fullmatch(row.name))]
    held = throttle(events, gauge)
    if held is not None:
        found[Quantity.THROTTLE] = held
    state = told.get("pstate")
    if state is not None and 0 <= state <= 15:  # noqa: PLR2004 - NVML's states are P0 to P15
        found[Quantity.PERFORMANCE_STATE] = gauge(Quantity.PERFORMANCE_STATE, f"P{state:.0f}")
    name, index = name_of(info.get("name", "")), whole_number(info.get("index", ""))
    full = uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"
    return DeviceSnapshot(
        pci_key(info.get("pci_bus_id", "")) or uuid_of(full) or f"{VENDOR}-{uuid[:64]}", name, VENDOR,
        index=index, uuid=uuid_of(full), unified=shares_memory(name) or None, readings=found,
        notes=memory_notes(found), processes=_apps(rows, gauge),
    )  # fmt: skip


def _unit(name: str) -> str:
    """Return the unit that a name ends in, as ``measured`` knows it."""
    ends = {"_bytes": "B", "_hz": "Hz", "_watts": "W"}
    return next((unit for end, unit in ends.items() if name.endswith(end)), "")


def _apps(rows: Sequence[Series], gauge: Gauge) -> tuple[ProcessSnapshot, ...] | Absent:
    told = [row for row in rows if row.name in {f"{_APP}info", f"{_APP}used_memory_bytes"}]
    if not told and not any(row.name == f"{_PREFIX}compute_apps" for row in rows):
        return Absent(Reason.UNSUPPORTED, "the exporter was not told to list processes", SMI)
    held: list[ProcessSnapshot] = []
    for pid, found in _by(told, "pid").items():
        size = next((row.value for row in found if row.name.endswith("_bytes")), None)
        memory = (
            gauge.absent(Reason.UNSUPPORTED, "the driver does not tell how much it holds")
            if size is None
            else checked(gauge, Quantity.MEMORY_USED, size)
        )
        held.append(
            ProcessSnapshot(whole_number(pid), found[0].labels.get("process_name", ""), memory, "compute")
        )
    return tuple(held)


def is_dcgm(text: str) -> bool:
    """Whether a page is of dcgm-exporter."""
    return _IS_DCGM.search(text) is not None


def read_dcgm(text: str) -> Sample:
    """Return the devices and slices of a page of dcgm-exporter."""
    page = read_page(text)
    rows = [each for each in page.series if each.name.startswith("DCGM_FI_")]
    devices: list[DeviceSnapshot] = []
    for uuid, found in _by(rows, "UUID", "gpu").items():
        whole = [row for row in found if not row.labels.get("GPU_I_ID")]
        slices = _by([row for row in found if row.labels.get("GPU_I_ID")], "GPU_I_ID")
        key = uuid_of(uuid) or f"{VENDOR}-{uuid[:64]}"
        devices.append(_dcgm_device(key, found[0].labels, whole, ""))
        devices += [
            _dcgm_device(f"{key}/{number}", part[0].labels, part, key) for number, part in slices.items()
        ]
    return Sample(devices=tuple(devices), troubles=tuple(_damaged(DCGM, page.damaged)))


def _besides(
    labels: Mapping[str, str], told: Mapping[str, float | None], gauge: Gauge
) -> Iterator[tuple[Quantity, Reading]]:
    """Yield the driver, which is a label, and where no utilisation is told how long the engine was active.

    Slices have no utilisation; of both, DCGM profiles the graphics engine, from 0 to 1.
    """
    if said_nothing(driver := labels.get("DCGM_FI_DRIVER_VERSION", "")) is None:
        yield Quantity.DRIVER, gauge(Quantity.DRIVER, driver[:40])
    active = told.get("DCGM_FI_PROF_GR_ENGINE_ACTIVE")
    if active is not None and "DCGM_FI_DEV_GPU_UTIL" not in told:
        yield Quantity.UTILIZATION, checked(gauge, Quantity.UTILIZATION, active)


def _dcgm_device(key: str, labels: Mapping[str, str], rows: Sequence[Series], parent: str) -> DeviceSnapshot:
    gauge = Gauge(DCGM)
    told = {row.name: row.value for row in rows}

    def ask(name: str) -> str | None:
        value = told.get(name)
        return None if value is None else repr(value)

    found = readings(ask, "dcgm", gauge) | dict(_besides(labels, told, gauge))
    profile = labels.get("GPU_I_PROFILE", "")
    shape = "" if profile in {"", NO_VALUE} else f" MIG {profile[:20]}"
    notes = ("the exporter does not know the profile of the slice",) if parent and not shape else ()
    return DeviceSnapshot(
        key, f"{name_of(labels.get('modelName', ''))}{shape if parent else ''}".strip(), VENDOR,
        "mig" if parent else "gpu",
        index=whole_number(labels.get("GPU_I_ID" if parent else "gpu", "")), parent=parent,
        uuid="" if parent else uuid_of(labels.get("UUID", "")), readings=found, notes=notes,
    )  # fmt: skip


FORMATS: Final = (
    Format("nvidia_gpu_exporter", is_smi, read_smi),
    Format("dcgm-exporter", is_dcgm, read_dcgm),
)
