"""Adapters (LoRA and its kin): small weights that work on top of another model, which is what is planned."""

from collections.abc import Mapping
from dataclasses import replace

from hwledger.errors import MalformedError
from hwledger.model.reading import Reading
from hwledger.model.spec import ModelSpec
from hwledger.model.tensors import Part

_BASE = "base_model_name_or_path"


def base_of(spec: ModelSpec) -> str | None:
    """Return the reference of the model that an adapter needs; ``None`` where ``spec`` is no adapter.

    Raises:
        MalformedError: it is an adapter and does not say of what.
    """
    if "peft_type" not in spec.metadata or (spec.layers and spec.architecture != "unknown"):
        return None
    base = spec.metadata.get(_BASE)
    if not isinstance(base, str) or not base.strip():
        raise MalformedError(
            f"{spec.source}: this adapter does not name its base model; plan the base itself"
        )
    return base.strip()


def on_base(adapter: ModelSpec, base: ModelSpec) -> ModelSpec:
    """Return the base model with the adapter's tensors added to its weights.

    Raises:
        MalformedError: the base is an adapter itself.
    """
    if base_of(base) is not None:
        raise MalformedError(
            f"{adapter.source}: its base model {base.id} is an adapter, too; merge them first"
        )
    extra = tuple(replace(tensor, part=Part.OTHER, layer=None, linear=False) for tensor in adapter.tensors)
    size = sum(tensor.stored_bytes or 0 for tensor in extra)
    note = (
        f"{adapter.id} is an adapter of {base.id}: its {size:,} bytes are counted with the base's weights;"
        " the slots that an engine reserves for adapters are not"
    )
    return replace(
        base,
        id=adapter.id,
        source=f"{adapter.source}, on {base.source}",
        tensors=(*base.tensors, *extra),
        stored_tensors=(*base.stored_tensors, *extra) if base.stored_tensors else (),
        unknowns=(*base.unknowns, note),
        revision=adapter.revision,
        reading=_both(adapter.reading, base.reading),
        adapter=adapter.origin,
        adapter_rank=_rank(adapter.metadata),
    )


def _rank(stated: Mapping[str, object]) -> int | None:
    """Return the largest rank of a LoRA adapter: some of its matrices may have one of their own."""
    pattern = stated.get("rank_pattern")
    given = [stated.get("r"), *(pattern.values() if isinstance(pattern, Mapping) else ())]
    ranks = [rank for rank in given if isinstance(rank, int) and not isinstance(rank, bool) and rank > 0]
    return max(ranks, default=None)


def _both(one: Reading | None, other: Reading | None) -> Reading | None:
    if one is None or other is None:
        return one or other
    ages = [reading.kept_s for reading in (one, other) if reading.kept_s is not None]
    return Reading(
        f"{one.origin} and {other.origin}", one.files + other.files, one.bytes_read + other.bytes_read,
        one.requests + other.requests, max(ages) if len(ages) == 2 else None,  # noqa: PLR2004 - both of them
    )  # fmt: skip
