"""Recurrent mixers of a GGUF file: which layers keep a state and how large it is.

Source: llama.cpp b11434 ``src/llama-hparams.cpp`` ``n_embd_r``, ``n_embd_s``, and each architecture's
``load_arch_hparams``.
"""

from collections.abc import Sequence

from hwledger.errors import MalformedError
from hwledger.library.gguf.keys import Keys
from hwledger.model.mixers import (
    GatedDeltaNet,
    KimiDeltaAttention,
    LightningAttention,
    Mamba1,
    Mamba2,
    RecurrentMixer,
    Rwkv,
    ShortConvolution,
)

LISTED = "attention.recurrent_layers"
INTERVAL = "full_attention_interval"
KDA_TAPS = 4  # convolution taps where a KDA file states none


def recurrent_layers(  # noqa: PLR0913, PLR0917 - each is one fact of the stack
    keys: Keys, rule: str, trunk: int, total: int, kv_heads: Sequence[int], feed_forward: Sequence[int]
) -> tuple[bool, ...]:
    """Return whether each layer keeps a recurrent state; MTP layers of hybrids do not."""
    match rule:
        case "":
            return (False,) * total
        case "all" | "both":
            return (True,) * total
        case "kv_zero":
            return tuple(heads == 0 for heads in kv_heads)
        case "kv_ff_zero":
            pairs = zip(kv_heads, feed_forward, strict=True)
            return tuple(il < trunk and heads == width == 0 for il, (heads, width) in enumerate(pairs))
    if keys.has(LISTED):
        return tuple(bool(flag) for flag in keys.per_layer(LISTED, total))
    interval = keys.number(INTERVAL, int(rule.removeprefix("every_")))
    if not interval:
        raise MalformedError(f"{keys.source}: {keys.architecture}.{INTERVAL} is 0; the file is broken")
    return tuple(il < trunk and (il + 1) % interval != 0 for il in range(total))


def state_mixer(keys: Keys, heads: int, key_width: int, traits: frozenset[str]) -> RecurrentMixer:
    """Return the recurrent mixer of the model; which kind it is follows from the keys that are there."""
    width = keys.required("embedding_length")
    if head_width := keys.number("wkv.head_size"):
        return Rwkv(width=width, head_width=head_width, token_shifts=keys.number("token_shift_count", 2))
    if taps := keys.number("shortconv.l_cache"):
        return ShortConvolution(channels=width, conv_kernel=taps)
    taps = keys.number("ssm.conv_kernel")
    if head_width := keys.number("kda.head_dim"):
        return KimiDeltaAttention(heads=heads, head_width=head_width, conv_kernel=taps or KDA_TAPS)
    if "lightning" in traits:
        return LightningAttention(heads=heads, head_width=key_width)
    return _state_space(keys, taps, traits)


def _state_space(keys: Keys, taps: int, traits: frozenset[str]) -> RecurrentMixer:
    inner, state = keys.required("ssm.inner_size"), keys.required("ssm.state_size")
    groups, heads = keys.number("ssm.group_count"), keys.number("ssm.time_step_rank")
    if not groups:
        return Mamba1(inner_width=inner, state_size=state, conv_kernel=taps)
    if not heads or inner % heads:
        raise MalformedError(
            f"{keys.source}: {inner} inner channels do not divide into {heads} state heads; "
            "the file contradicts itself, so get it again"
        )
    if "gated_delta" in traits:
        return GatedDeltaNet(
            key_heads=groups, value_heads=heads, key_width=state, value_width=inner // heads, conv_kernel=taps
        )
    return Mamba2(heads=heads, head_width=inner // heads, state_size=state, groups=groups, conv_kernel=taps)
