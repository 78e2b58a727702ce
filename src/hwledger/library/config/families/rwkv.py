"""RWKV-4 and RWKV-5: linear recurrences with token shift."""

from hwledger.library.config.draft import Draft
from hwledger.library.config.families.state_blocks import LINEAR
from hwledger.library.config.reader import Config
from hwledger.model.channel import DenseMLP
from hwledger.model.mixers import Rwkv
from hwledger.model.tensors import Part, Split

_RWKV4_STATE = 3  # numerator, denominator and maximum per channel


def rwkv4(config: Config) -> Draft:
    """Read an RWKV-4.

    Source: transformers 5.23.0 ``models/rwkv/modeling_rwkv.py``.
    """
    draft = Draft(config)
    inner = config.optional_integer("attention_hidden_size", least=1) or draft.hidden
    width = config.optional_integer("intermediate_size", least=1) or 4 * draft.hidden
    mixer = Rwkv(width=inner, head_width=_RWKV4_STATE, state_type="f32")
    return _read(draft, mixer, inner, width, ("key", "value", "receptance"))


def rwkv5(config: Config) -> Draft:
    """Read an RWKV-5: a matrix per head, an output gate and a group norm.

    Source: RWKV/rwkv-5-world-3b ``modeling_rwkv5.py`` (remote code).

    Raises:
        MalformedError: ``head_size`` does not divide the width.
    """
    draft = Draft(config)
    inner = config.optional_integer("attention_hidden_size", least=1) or draft.hidden
    head = config.integer("head_size", default=64, least=1)
    if inner % head:
        raise config.unusable("head_size", head, f"a divisor of attention_hidden_size, {inner}")
    width = config.optional_integer("intermediate_size", least=1) or draft.hidden * 7 // 2 // 32 * 32
    mixer = Rwkv(width=inner, head_width=head, state_type="f32")
    return _read(draft, mixer, inner, width, ("key", "value", "receptance", "gate"))


def _read(draft: Draft, mixer: Rwkv, inner: int, width: int, mixed: tuple[str, ...]) -> Draft:
    draft.embed("rwkv.embeddings", head="head")
    mlp = DenseMLP(width=width, gated=False)
    for index in range(draft.config.layer_count()):
        with draft.scope(f"rwkv.blocks.{index}.", index):
            if index == 0:
                draft.norm("pre_ln", draft.hidden, bias=True)
            draft.norm("ln1", draft.hidden, bias=True)
            draft.norm("ln2", draft.hidden, bias=True)
            with draft.scope("attention."):
                _time_mix(draft, inner, mixed)
            with draft.scope("feed_forward."):
                _channel_mix(draft, width)
        draft.layer(LINEAR, mixer, channel=mlp)
    draft.norm("rwkv.ln_out", draft.hidden, bias=True)
    return draft


def _time_mix(draft: Draft, inner: int, mixed: tuple[str, ...]) -> None:
    gated = "gate" in mixed
    for name in ("time_decay", "time_faaaa" if gated else "time_first"):
        draft.add(name, (inner,), Part.STATE, split=Split.SHARDED)
    for name in mixed:
        draft.add(f"time_mix_{name}", (1, 1, draft.hidden), Part.STATE)
        draft.linear(name, inner, draft.hidden, Part.STATE)
    draft.linear("output", draft.hidden, inner, Part.STATE)
    if gated:
        draft.norm("ln_x", inner, bias=True)


def _channel_mix(draft: Draft, width: int) -> None:
    for name in ("key", "receptance"):
        draft.add(f"time_mix_{name}", (1, 1, draft.hidden), Part.MLP)
    draft.linear("key", width, draft.hidden, Part.MLP)
    draft.linear("receptance", draft.hidden, draft.hidden, Part.MLP)
    draft.linear("value", draft.hidden, width, Part.MLP)
