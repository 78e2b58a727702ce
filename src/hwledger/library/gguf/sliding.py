"""Which layers of a GGUF file slide, and over how many tokens.

Source: llama.cpp b11434 ``src/llama-model.cpp`` ``load_swa_pattern``, ``src/llama-hparams.cpp``
``set_swa_pattern``.
"""

from collections.abc import Sequence

from hwledger.library.gguf.architectures import Architecture
from hwledger.library.gguf.keys import Keys

WINDOW = "attention.sliding_window"
PATTERN = "attention.sliding_window_pattern"
LARGE = 64  # layers of the only EXAONE-4 that slides, src/models/exaone4.cpp


def windows(
    keys: Keys, family: Architecture, trunk: int, total: int, recurrent: Sequence[bool]
) -> tuple[int, ...]:
    """Return the window of each layer in tokens, 0 for a full one. MTP layers are full unless listed."""
    window = _window(keys, family, total)
    if not window:
        return (0,) * total
    if family.sliding == "attention":
        return tuple(0 if state else window for state in recurrent)
    if keys.is_array(PATTERN):
        listed = keys.per_layer(PATTERN, trunk)
        flags = [*map(bool, listed), *_listed_beyond(keys, trunk, total)]
    else:
        period = keys.number(PATTERN, family.pattern)
        full = 0 if family.dense_first else period - 1
        flags = [il < trunk and (period == 0 or il % period != full) for il in range(total)]
    return tuple(window if slides else 0 for slides in flags)


def _listed_beyond(keys: Keys, trunk: int, total: int) -> list[bool]:
    """MTP layers: as listed where the array reaches them, full otherwise."""
    value = keys.value(PATTERN)
    reach = len(value) if isinstance(value, Sequence) else 0
    if reach >= total:
        return [bool(flag) for flag in keys.per_layer(PATTERN, total)[trunk:]]
    return [False] * (total - trunk)


def _window(keys: Keys, family: Architecture, total: int) -> int:
    stated = keys.number(WINDOW) if keys.has(WINDOW) else None
    match family.sliding:
        case "":
            return 0
        case "layers_64" if total - keys.number("nextn_predict_layers") != LARGE:
            return 0
        case "window" | "attention" if not stated:
            return 0
        case "unless_zero" if stated == 0:
            return 0
    return family.window if family.fixed_window or stated is None else stated
