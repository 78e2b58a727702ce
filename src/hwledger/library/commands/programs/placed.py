"""``--override-tensor`` of llama.cpp: which layers' experts patterns leave in host memory."""

import re
from collections.abc import Sequence
from typing import Final

_LAYERS: Final = 128
_EXPERTS: Final = ("ffn_gate_exps", "ffn_down_exps", "ffn_up_exps")
_OTHERS: Final = (
    "blk.{}.attn_q.weight", "blk.{}.attn_output.weight", "blk.{}.attn_kv_a_mqa.weight",
    "blk.{}.ffn_norm.weight",
    "blk.{}.ffn_gate_inp.weight", "blk.{}.ffn_up_shexp.weight", "blk.{}.ffn_down_shexp.weight",
    "blk.{}.ffn_up.weight", "blk.{}.ffn_down.weight", "blk.{}.ssm_in.weight",
    "token_embd.weight", "output.weight",
)  # fmt: skip
_SAFE: Final = re.compile(
    r"(?:\\[.dw]|\[[\w-]{1,40}\]|\((?:\?:)?|\)|\||\.|\^|\$|[\w-]|[*+](?![*+?])|\\-){1,300}"
)
_REPEATED_GROUP: Final = re.compile(r"\)[*+?{]")
_MOST_REPEATS: Final = 3


def hosted_layers(texts: Sequence[str]) -> int | None:
    """Return how many of the first layers keep their experts in host memory; -1: all of them.

    ``None``: the patterns place anything else, or other layers than the first ones. The first pattern that
    matches a tensor's name counts (llama.cpp ``src/llama-model-loader.cpp`` ``create_tensor``).

    Args:
        texts: values of ``--override-tensor``: ``PATTERN=BUFFER``, several with commas between them.
    """
    rules = [_rule(part) for text in texts for part in text.split(",")]
    if not rules or any(rule is None for rule in rules):
        return None
    known = [rule for rule in rules if rule]
    if any(_place(known, name.format(layer)) for name in _OTHERS for layer in (0, 1, 33, 77)):
        return None
    placed = [{_place(known, f"blk.{layer}.{name}.weight") for name in _EXPERTS} for layer in range(_LAYERS)]
    hosted = [layer for layer, places in enumerate(placed) if places == {"cpu"}]
    if any(places not in ({"cpu"}, {""}) for places in placed) or hosted != list(range(len(hosted))):
        return None
    return -1 if len(hosted) == _LAYERS else len(hosted)


def _rule(text: str) -> tuple[re.Pattern[str], str] | None:
    """Pattern and buffer; ``None`` where the pattern is more than letters, groups and a few repeats."""
    pattern, equals, place = text.rpartition("=")
    repeats = pattern.count("*") + pattern.count("+")
    if (
        not equals
        or repeats > _MOST_REPEATS
        or not _SAFE.fullmatch(pattern)
        or _REPEATED_GROUP.search(pattern)
    ):
        return None
    try:
        return re.compile(pattern), place.strip().lower()
    except (re.error, OverflowError):
        return None


def _place(rules: Sequence[tuple[re.Pattern[str], str]], name: str) -> str:
    return next((place for pattern, place in rules if pattern.search(name)), "")
