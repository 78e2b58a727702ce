"""The blocks of recurrent and hybrid families: Mamba-1, Mamba-2, plain attention and layer lists."""

from hwledger.library.config.draft import Draft
from hwledger.library.config.reader import MAX_LAYERS, Config
from hwledger.model.mixers import FullAttention, Mamba1, Mamba2
from hwledger.model.number_types import number_type
from hwledger.model.tensors import Part, Split

LINEAR = "linear_attention"
FULL = "full_attention"
_SPOKEN = {"mamba": LINEAR, "mamba2": LINEAR, "attention": FULL}


def kinds_of(config: Config, key: str, allowed: tuple[str, ...]) -> list[str] | None:
    """Return the kinds that a list per layer names, in the words of ``layer_types``, or ``None``.

    Raises:
        MalformedError: the list is empty, too long or names another kind.
    """
    entries = config.sequence(key)
    if entries is None:
        return None
    if not 1 <= len(entries) <= MAX_LAYERS:
        raise config.unusable(key, f"{len(entries)} entries", f"a list of 1 to {MAX_LAYERS} layers")
    kinds = [_SPOKEN.get(entry, entry) if isinstance(entry, str) else entry for entry in entries]
    for kind in kinds:
        if kind not in allowed:
            raise config.unusable(key, kind, f"a list of {', '.join(allowed)}")
    return kinds


def state_type(config: Config) -> str | None:
    """Return the number type that the file asks for the recurrent state, ``None`` where it is silent."""
    stated = config.text("mamba_ssm_cache_dtype", "mamba_ssm_dtype")
    if not stated or stated == "auto":
        return None
    return number_type(stated).name


def attention_of(config: Config, width: int | None = None) -> FullAttention:
    """Return plain grouped attention; ``width`` is that of a head where the file does not state it.

    Raises:
        MalformedError: the heads do not divide.
    """
    heads = config.integer("num_attention_heads", least=1)
    kv_heads = config.integer("num_key_value_heads", default=heads, least=1)
    if heads % kv_heads:
        raise config.unusable("num_key_value_heads", kv_heads, f"a divisor of num_attention_heads, {heads}")
    if width is None:
        width = config.optional_integer("head_dim", "attention_head_dim", least=1)
    if width is None:
        width = config.integer("hidden_size", least=1) // heads
    if width < 1:
        raise config.unusable("num_attention_heads", heads, "at most hidden_size")
    return FullAttention(query_heads=heads, kv_heads=kv_heads, key_width=width, value_width=width)


def mamba2_of(config: Config) -> Mamba2:
    """Return the Mamba-2 of Bamba, Granite 4 and Falcon-H1, whose keys start with ``mamba_``.

    Raises:
        MalformedError: heads and head width do not make up the inner width.
    """
    hidden = config.integer("hidden_size", least=1)
    inner = config.optional_integer("mamba_d_ssm", least=1)
    inner = inner or config.integer("mamba_expand", default=2, least=1) * hidden
    heads = config.integer("mamba_n_heads", default=128, least=1)
    stated = config.value("mamba_d_head", default="auto")
    width = inner // heads if stated == "auto" else config.integer("mamba_d_head", least=1)
    if heads * width != inner:
        raise config.unusable("mamba_n_heads", heads, f"a divisor of the inner width, {inner}")
    return Mamba2(
        heads=heads,
        head_width=width,
        state_size=config.integer("mamba_d_state", default=256, least=1),
        groups=config.integer("mamba_n_groups", default=1, least=1),
        conv_kernel=config.integer("mamba_d_conv", default=4, least=1),
        state_type=state_type(config),
    )


def add_mamba2(  # noqa: PLR0913 - the knobs that families really turn
    draft: Draft,
    mixer: Mamba2,
    *,
    name: str = "mamba",
    conv_bias: bool = True,
    in_bias: bool = False,
    out_bias: bool = False,
    norm: bool = True,
) -> None:
    """Add a Mamba-2: the input projection makes gate, convolved channels and one step per head.

    Source: transformers 5.23.0 ``models/mamba2/modeling_mamba2.py`` ``Mamba2Mixer``.
    """
    inner, channels = mixer.inner_width, mixer.conv_channels()
    with draft.scope(f"{name}."):
        for each in ("dt_bias", "A_log", "D"):
            draft.add(each, (mixer.heads,), Part.STATE, split=Split.SHARDED)
        add_convolution(draft, "conv1d", channels, mixer.conv_kernel, bias=conv_bias)
        draft.linear("in_proj", inner + channels + mixer.heads, draft.hidden, Part.STATE, bias=in_bias)
        if norm:
            draft.add("norm.weight", (inner,), Part.STATE, split=Split.SHARDED)
        draft.linear("out_proj", draft.hidden, inner, Part.STATE, bias=out_bias)


def add_mamba1(  # noqa: PLR0913 - the knobs that families really turn
    draft: Draft,
    mixer: Mamba1,
    rank: int,
    *,
    name: str,
    conv_bias: bool,
    bias: bool,
    norms: bool = False,
) -> None:
    """Add a Mamba-1 whose step has ``rank``; ``norms`` are Jamba's on step, B and C.

    Source: transformers 5.23.0 ``models/mamba/modeling_mamba.py`` and ``models/jamba/modeling_jamba.py``.
    """
    inner, size = mixer.inner_width, mixer.state_size
    with draft.scope(f"{name}."):
        draft.add("A_log", (inner, size), Part.STATE, split=Split.SHARDED)
        draft.add("D", (inner,), Part.STATE, split=Split.SHARDED)
        add_convolution(draft, "conv1d", inner, mixer.conv_kernel, bias=conv_bias)
        draft.linear("in_proj", 2 * inner, draft.hidden, Part.STATE, bias=bias)
        draft.linear("x_proj", rank + 2 * size, inner, Part.STATE)
        draft.linear("dt_proj", inner, rank, Part.STATE, bias=True)
        draft.linear("out_proj", draft.hidden, inner, Part.STATE, bias=bias)
        if norms:
            for each, width in (("dt", rank), ("b", size), ("c", size)):
                draft.add(f"{each}_layernorm.weight", (width,), Part.STATE)


def add_convolution(draft: Draft, name: str, channels: int, kernel: int, *, bias: bool) -> None:
    """Add a depthwise convolution over ``channels``."""
    draft.add(f"{name}.weight", (channels, 1, kernel), Part.STATE, split=Split.SHARDED)
    if bias:
        draft.add(f"{name}.bias", (channels,), Part.STATE, split=Split.SHARDED)


def step_rank(config: Config, key: str) -> int:
    """Return the rank of Mamba-1's step: stated, or a sixteenth of the hidden size, rounded up."""
    if config.value(key, default="auto") == "auto":
        return -(-config.integer("hidden_size", least=1) // 16)
    return config.integer(key, least=1)
