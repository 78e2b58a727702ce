"""Set-ups that an engine does not run at all: there is nothing to time; ``data/unsupported.csv``."""

import csv
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Final

from hwledger.device.spec import DeviceSpec
from hwledger.model.mixers import Mixer, Rwkv
from hwledger.planner.engines.versions import dotted
from hwledger.planner.plan import Plan
from hwledger.shipped import shipped_text

Row = Mapping[str, str]
Words = Mapping[str, object]


def unsupported(plan: Plan) -> tuple[str, ...]:
    """Return a sentence for each reason why a plan's engine does not run it; none where it does."""
    return tuple(_sentences(plan))


def _sentences(plan: Plan) -> Iterator[str]:
    for row in _rows():
        if row["engine"] not in {"", plan.engine} or not _applies(plan.request.version, row):
            continue
        words = _RULES[row["rule"]](plan, row)
        if words is not None:
            yield f"No figure of speed: {row['sentence'].format(**words)}."


def _applies(version: str, row: Row) -> bool:
    """Whether a row is about this release; one whose number is not read counts as the newest."""
    numbers = dotted(version)
    if not numbers:
        return not row["until"]
    low, high = dotted(row["since"]), dotted(row["until"])
    return (low is None or low <= numbers) and (high is None or numbers <= high)


@cache
def _rows() -> list[dict[str, str]]:
    text = shipped_text("hwledger.planner.throughput", "data/unsupported.csv")
    return list(csv.DictReader(text.splitlines()))


def _no_decoder(plan: Plan, row: Row) -> Words | None:
    del row
    return None if plan.spec.layers else {"model": plan.spec.id}


def _no_backend(plan: Plan, row: Row) -> Words | None:
    device = next((each for each in plan.request.devices if _is_of(each, row)), None)
    return None if device is None else {"device": device.name}


def _capability(plan: Plan, row: Row) -> Words | None:
    """Return the first device whose compute capability is known and lower than the engine's kernels need."""
    least = _version(row["number"])
    for device in plan.request.devices:
        stated = device.compute_capability
        if _is_of(device, row) and stated and _version(stated) < least:
            return {"device": device.name, "capability": stated, "number": row["number"]}
    return None


def _mixed(plan: Plan, row: Row) -> Words | None:
    del row
    vendors = sorted({device.vendor for device in plan.request.devices} - {"any", ""})
    return {"vendors": ", ".join(vendors)} if len(vendors) > 1 else None


def _uneven_heads(plan: Plan, row: Row) -> Words | None:
    del row
    ranks = plan.memory.options.get("tensor_parallel_size")
    if not isinstance(ranks, int) or ranks < 1:
        return None
    heads = (getattr(mixer, "query_heads", 0) for mixer in _mixers(plan))
    uneven = next((count for count in heads if count % ranks), None)
    return None if uneven is None else {"ranks": ranks, "heads": uneven}


def _recurrent(plan: Plan, row: Row) -> Words | None:
    del row
    return {} if any(isinstance(mixer, Rwkv) for mixer in _mixers(plan)) else None


def _mixers(plan: Plan) -> Iterator[Mixer]:
    return (mixer for layer in plan.spec.layers for mixer in layer.mixers)


def _is_of(device: DeviceSpec, row: Row) -> bool:
    return device.vendor == row["vendor"] and device.architecture.startswith(row["family"])


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdecimal())


_RULES: Final[Mapping[str, Callable[[Plan, Row], Words | None]]] = {
    "no_decoder": _no_decoder,
    "no_backend": _no_backend,
    "capability": _capability,
    "mixed": _mixed,
    "uneven_heads": _uneven_heads,
    "recurrent": _recurrent,
}
