"""Results that are kept as long as the model that they belong to lives."""

from collections.abc import Callable
from typing import Any, TypeVar
from weakref import finalize

from hwledger.model.mixers import Mixer
from hwledger.model.spec import ModelSpec

Result = TypeVar("Result")
_kept: dict[int, dict[object, Any]] = {}


def kept(spec: ModelSpec, key: object, make: Callable[[], Result]) -> Result:
    """Return what ``make`` gives, made once per model and key.

    A spec is not hashable (its metadata is a plain mapping), so it is known by its identity while it lives.
    """
    if id(spec) not in _kept:
        _kept[id(spec)] = {}
        finalize(spec, _kept.pop, id(spec), None)
    found = _kept[id(spec)]
    if key not in found:
        found[key] = make()
    result: Result = found[key]
    return result


def mixers_of(spec: ModelSpec) -> tuple[Mixer, ...]:
    """Return the mixers of a model's layers, alike ones once, in the order of the layers."""
    return kept(
        spec, "mixers", lambda: tuple(dict.fromkeys(m for layer in spec.layers for m in layer.mixers))
    )
