"""Bytes of one token's keys and values in the types that vLLM's KV cache knows."""

from typing import Final

from hwledger.errors import UnknownOptionError
from hwledger.planner.engines.vllm.versions import data_rows
from hwledger.units import cdiv, round_up

_HALF: Final = frozenset({"auto", "bfloat16", "float16", "half", "bf16", "f16", "fp16"})
_ALIASES: Final = {
    "f8_e4m3": "fp8_e4m3", "f8_e5m2": "fp8_e5m2", "float8_e4m3fn": "fp8_e4m3", "float8": "fp8",
    "f8": "fp8", "float8_e5m2": "fp8_e5m2",
}  # fmt: skip


def cache_type(name: str) -> dict[str, str] | None:
    """Return the row of a packed type, or ``None`` where the cache is in the activations' type.

    Raises:
        UnknownOptionError: vLLM has no such type.
    """
    if name in _HALF:
        return None
    wanted = _ALIASES.get(name, name)
    rows = {row["name"]: row for row in data_rows("cache_types.csv")}
    if wanted not in rows:
        raise UnknownOptionError("vllm KV cache type", name, ("auto", "bfloat16", "float16", *rows))
    return rows[wanted]


def head_bytes(name: str, key_width: int, value_width: int, item_bytes: int) -> int:
    """Return the bytes of one head's key and value of one token.

    nvfp4 adds an 8-bit scale per 16 elements; ``*_per_token_head`` a 32-bit scale per key and value;
    turboquant two bytes per key (none at 8 bits) and four per value, rounded up to even.
    """
    row = cache_type(name)
    if row is None:
        return (key_width + value_width) * item_bytes
    key_bits, value_bits = int(row["key_bits"]), int(row["value_bits"])
    key, value = cdiv(key_width * key_bits, 8), cdiv(value_width * value_bits, 8)
    if row["kind"] == "nvfp4":
        return key + value + cdiv(key_width, 16) + cdiv(value_width, 16)
    if row["kind"] == "per_head":
        return key + value + 8
    if row["kind"] == "turbo":
        return round_up(key + (0 if key_bits == 8 else 2) + value + 4, 2)  # noqa: PLR2004 - bits
    return key_width + value_width


def latent_bytes(name: str, rank: int, rope_width: int, item_bytes: int, *, sparse: bool) -> int:
    """Return the bytes of one token's latent.

    ``fp8_ds_mla`` keeps a 32-bit scale per 128 elements and the rotary part in 16 bits; sparse
    kernels turn every 8-bit type into it (vLLM 0.33.0 ``mla_attention.py``).
    """
    row = cache_type(name)
    if row is None:
        return (rank + rope_width) * item_bytes
    if row["kind"] == "nvfp4_ds_mla" or (row["kind"] == "nvfp4" and sparse):
        return cdiv(rank, 2) + cdiv(rank, 16) + rope_width
    if row["kind"] == "ds_mla" or sparse:
        return rank + 4 * cdiv(rank, 128) + 2 * rope_width
    return rank + rope_width
