"""What the methods share: lists of modules, bit widths, parts that are left alone."""

from typing import Any, Final

from hwledger.library.config.reader import Config
from hwledger.model.module_names import ModuleNames
from hwledger.model.quantisation import Packing, Quantisation
from hwledger.model.tensors import Part

Rule = tuple[ModuleNames, Packing | None]

KEPT: Final = frozenset({Part.EMBEDDING, Part.LM_HEAD, Part.NORM, Part.ROUTER, Part.TOWER})
"""What a method leaves alone where it does not list it: no repository was seen to pack these."""

KEPT_EVERYWHERE: Final = ModuleNames(
    ["weights_proj", "shared_expert_gate", "conv1d", "eh_proj", "re:.*[.]A_log$"]
)
"""Small matrices that engines build without quantisation (vLLM 0.33.0 ``models/deepseek_v2.py``
``Indexer.weights_proj``, ``models/qwen3_next.py`` ``shared_expert_gate``)."""

KEPT_KEYS: Final = ("modules_to_not_convert", "ignored_layers", "ignore", "exclude_modules", "exclude")


def names(quant: Config, *keys: str) -> list[str]:
    """Return the module names under the first of ``keys`` that is a list.

    Raises:
        MalformedError: an entry is no string.
    """
    for key in keys or KEPT_KEYS:
        listed = quant.sequence(key)
        if listed is None:
            continue
        for entry in listed:
            if not isinstance(entry, str):
                raise quant.unusable(key, entry, "a list of module names")
        return listed
    return []


def left_alone(listed: list[str]) -> tuple[Rule, ...]:
    """Return the rule that leaves the listed modules unquantised; none where the list is empty."""
    return ((ModuleNames(listed), None),) if listed else ()


def by_packing(modules: dict[str, Packing | None]) -> tuple[Rule, ...]:
    """Return one rule per packing for a table of module names."""
    groups: dict[Packing | None, list[str]] = {}
    for name, packing in modules.items():
        groups.setdefault(packing, []).append(name)
    return tuple((ModuleNames(listed), packing) for packing, listed in groups.items())


def bit_width(quant: Config, *keys: str, default: int | None = None) -> int:
    """Return bits per weight, 1 to 16.

    Raises:
        MalformedError: it is absent, or no width that exists.
    """
    bits = quant.integer(*keys, default=default, least=1)
    if bits > 16:  # noqa: PLR2004 - nothing is packed into more than what it replaces
        raise quant.unusable(keys[0], bits, "a bit width from 1 to 16")
    return bits


def group_size(quant: Config, *keys: str, default: int) -> int:
    """Return inputs per group; 0 (a whole row) for -1 and 0.

    Raises:
        MalformedError: it is below -1 or no whole number.
    """
    value: Any = quant.value(*keys, default=default)
    if value in (-1, 0):
        return 0
    return quant.integer(*keys, default=default, least=1)


def kv_type(quant: Config) -> str | None:
    """Return the KV cache type that a checkpoint asks for: ``fp8``, ``nvfp4``, or ``None``."""
    scheme = quant.value("kv_cache_quant_algo") or quant.value("kv_cache_scheme")
    if isinstance(scheme, str):
        known = {"fp8": "fp8", "nvfp4": "nvfp4", "int8": "i8"}
        return known.get(scheme.lower())
    if isinstance(scheme, dict):
        eight = scheme.get("num_bits") == 8  # noqa: PLR2004 - a byte
        if eight:
            return "fp8" if scheme.get("type") == "float" else "i8"
    return None


def quantisation(
    packing: Packing, *rules: Rule, kept: frozenset[Part] = KEPT, kv_cache_type: str | None = None
) -> Quantisation:
    """Return a quantisation whose method and origin the caller fills in."""
    return Quantisation(
        method="", packing=packing, overrides=rules, kept_parts=kept, kv_cache_type=kv_cache_type
    )
