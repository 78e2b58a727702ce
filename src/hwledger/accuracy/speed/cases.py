"""The measured speeds that ship, each with what the speed model needs to predict it."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from hwledger.device.catalogue import find_device
from hwledger.device.spec import DeviceSpec
from hwledger.library.sources.catalogue import shipped_model
from hwledger.model.ggml_mixes import BASES, ggml_mix, is_ggml_mix
from hwledger.model.tensors import Part
from hwledger.planner.throughput.setting import BACKENDS, Setting, kernel_group, mlx_weights
from hwledger.planner.throughput.silicon import Silicon, silicon_of
from hwledger.planner.throughput.work import Work, work_of
from hwledger.planner.weights import weigh
from hwledger.shipped import shipped_text
from hwledger.units import GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One measurement.

    Attributes:
        device: what it ran on; ``devices`` alike ones share the layers.
        model: the catalogue's name.
        work, setting: what the model takes.
        depth, prompt, output: tokens in the cache beforehand, of the prompt, of the answer.
        prefill, decode: measured tokens per second; ``None`` where not measured.
        source: where it was published.
    """

    device: DeviceSpec
    devices: int
    model: str
    weights: str
    work: Work
    setting: Setting
    depth: int
    prompt: int
    output: int
    prefill: float | None
    decode: float | None
    source: str

    @property
    def name(self) -> str:
        """The case in words."""
        count = f"{self.devices}x " if self.devices > 1 else ""
        flash = "" if self.setting.flash else ", no flash attention"
        early = ", mid-2024" if self.setting.early else ""
        return (
            f"{self.model} {self.weights} on {count}{self.device.name}, {self.setting.backend}"
            f"{flash}{early}, {self.depth} + {self.prompt or self.output} tokens"
        )


@cache
def cases() -> tuple[Case, ...]:
    """Return every measurement that was not left out, in the order of the table."""
    return tuple(_case(row) for row in table() if not row["left_out"])


@cache
def measured(quantity: str) -> tuple[Case, ...]:
    """Return the cases whose ``decode`` or ``prefill`` was measured and can be timed, in order."""
    if quantity == "decode":
        return tuple(case for case in cases() if case.decode and silicon(case))
    return tuple(case for case in cases() if case.prefill and silicon(case).multiplying)


def silicon(case: Case) -> Silicon:
    """Return what the model sees of a case's device.

    Raises:
        ValueError: the catalogue does not know its bandwidth.
    """
    found = silicon_of(case.device)
    if found is None:
        raise ValueError(f"{case.device.name} has no bandwidth in the catalogue")
    return found


def table() -> list[dict[str, str]]:
    """Return the rows of ``data/speed.csv``."""
    text = shipped_text("hwledger.accuracy", "data/speed.csv")
    return list(csv.DictReader(text.splitlines()))


def _case(row: Mapping[str, str]) -> Case:
    device = find_device(row["device"])
    return Case(
        device=device, devices=int(row["devices"]), model=row["model"], weights=row["weights"],
        work=_work(row["model"], row["weights"], row["file_gib"]), setting=_setting(row, device),
        depth=int(row["depth"]), prompt=int(row["prompt"] or 0), output=int(row["output"]),
        prefill=None if row["prefill_left_out"] else _rate(row["prefill_tokens_per_second"]),
        decode=_rate(row["decode_tokens_per_second"]),
        source=row["source"],
    )  # fmt: skip


def _rate(text: str) -> float | None:
    return float(text) if text else None


@cache
def _work(model: str, weights: str, file_gib: str) -> Work:
    """The work of a model; a file whose size is known counts with that size."""
    spec = shipped_model(model)
    work = work_of(spec, weights)
    if not file_gib:
        return work
    table = weigh(spec, weights)
    return work.resized(float(file_gib) * GIB, table.total - table.by_part.get(Part.TOWER, 0))


def _setting(row: Mapping[str, str], device: DeviceSpec) -> Setting:
    if row["engine"] == "mlx":
        weights = mlx_weights(row["weights"])
        return Setting(
            engine="mlx", backend="MLX", weights=weights, group=kernel_group(weights),
            wrapped=bool(row["wrapped"]), micro_batch=2048,
        )  # fmt: skip
    weights = BASES[ggml_mix(row["weights"])] if is_ggml_mix(row["weights"]) else row["weights"].lower()
    return Setting(
        engine="llama.cpp", backend=row["backend"] or BACKENDS[device.vendor], weights=weights,
        group=kernel_group(weights), flash=row["flash"] != "off", early=bool(row["early"]),
        wrapped=bool(row["wrapped"]), micro_batch=int(row["micro_batch"]),
    )  # fmt: skip
