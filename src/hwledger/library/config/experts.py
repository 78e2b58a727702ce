"""Which layers hold experts, how many and how wide: the keys of every family, read by one rule."""

from collections.abc import Mapping

from hwledger.library.config.reader import Config
from hwledger.model.channel import MixtureOfExperts

COUNTS = ("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts")
ACTIVE = ("num_experts_per_tok", "num_experts_per_token", "top_k_experts", "moe_topk", "moe_top_k", "moe_k")
WIDTHS = ("moe_intermediate_size", "expert_ffn_hidden_size", "moe_ffn_hidden_size", "intermediate_size")
SHARED_COUNTS = ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "num_shared_expert")
SHARED_WIDTHS = (
    "shared_expert_intermediate_size",
    "share_expert_dim",
    "shared_intermediate_size",
)
_LIST_KEYS = ("mlp_layer_types", "moe_layer_freq", "moe_layers")


def read_experts(
    config: Config, *, gated: bool = True, width_key: str = "", shared_key: str = ""
) -> MixtureOfExperts | None:
    """Return the experts of a sparse layer, or ``None`` for a dense model.

    ``width_key`` and ``shared_key`` name the widths of families that do not use the common keys;
    ``shared_key="none"`` means that there are no shared experts.

    Aliases: vLLM 0.33.0 ``config/model_arch.py`` and transformers 5.23.0 ``attribute_map``.

    Raises:
        MalformedError: more experts per token than experts, or an unusable number.
    """
    count = _first(config, COUNTS)
    if not count:
        return None
    active = _first(config, ACTIVE)
    if active is None:
        raise config.unusable("num_experts_per_tok", None, f"stated beside {count} experts")
    if not 1 <= active <= count:
        raise config.unusable("num_experts_per_tok", active, f"from 1 to the number of experts, {count}")
    width = _in_order(config, (width_key,) if width_key else WIDTHS)
    if not width:
        raise config.unusable("moe_intermediate_size", width, "a positive width")
    return MixtureOfExperts(
        experts=count,
        active_experts=active,
        expert_width=width,
        shared_width=_shared_width(config, width, shared_key),
        gated=gated,
    )


def sparse_layers(config: Config, count: int, leading: int = 0) -> list[bool]:
    """Return for each of ``count`` layers whether its channel mixer is a mixture of experts.

    Rules, in order: a list per layer (``mlp_layer_types``, ``moe_layer_freq``), a list of indices
    (``moe_layers``), a stretch (``moe_layer_start_index`` …), and the intersection of
    ``first_k_dense_replace``, ``moe_layer_freq``, ``decoder_sparse_step`` and ``mlp_only_layers``.
    ``leading`` is the number of dense layers before the first sparse one where no key states it.

    Raises:
        MalformedError: a list is shorter than the number of layers, or a step is not positive.
    """
    for key in _LIST_KEYS[:2]:
        if isinstance(config.value(key), list):
            entries = config.sequence(key, length=count) or []
            return [entry not in (0, False, "dense") for entry in entries[:count]]
    if isinstance(enumerated := config.value("moe_layers_enum"), str):  # Step-3: "3,4,5"
        named = enumerated.replace(" ", "").split(",")
        return [str(index) in named for index in range(count)]
    if isinstance(config.value("moe_layers"), list):
        chosen = set(_indices(config, "moe_layers"))
        return [index in chosen for index in range(count)]
    if config.value("moe_layer_start_index") is not None:
        return _stretch(config, count)
    dense = config.integer("first_k_dense_replace", "num_dense_layers", default=leading)
    step = config.integer("decoder_sparse_step", default=1) if _heeds(config, "decoder_sparse_step") else 1
    frequency = config.integer("moe_layer_freq", "moe_layer_interval", default=1, least=1)
    only_dense = set(_indices(config, "mlp_only_layers")) if _heeds(config, "mlp_only_layers") else set()
    return [
        index >= dense
        and index % frequency == 0
        and index not in only_dense
        and step > 0
        and (index + 1) % step == 0
        for index in range(count)
    ]


def _heeds(config: Config, key: str) -> bool:
    """Whether the family reads a key at all: Mixtral has no ``mlp_only_layers``, whatever a file says."""
    pair = ("decoder_sparse_step", "mlp_only_layers")
    return not config.known or any(each in config.defaults.values for each in (key, *pair))


def _in_order(config: Config, keys: tuple[str, ...]) -> int | None:
    """The first key that is stated or defaulted."""
    return next((n for key in keys if (n := _number(config, key)) is not None), None)


def _number(config: Config, key: str) -> int | None:
    """A whole number; a list with one entry per layer (Hunyuan) stands for its only value."""
    value = config.value(key)
    if isinstance(value, list) and value:
        if any(each != value[0] for each in value):
            raise config.unusable(key, value, "the same for all layers")
        return Config({key: value[0]}, config.where, path=config.path).optional_integer(key)
    return config.optional_integer(key)


def _first(config: Config, keys: tuple[str, ...]) -> int | None:
    """The first key that the file states, else the first that the class defaults."""
    stated = [key for key in keys if config.has(key)]
    for key in (*stated, *keys):
        number = _number(config, key)
        if number is not None:
            return number
    return None


def _shared_width(config: Config, width: int, key: str) -> int:
    if key == "none":
        return 0
    stated = _in_order(config, (key,) if key else SHARED_WIDTHS)
    if stated is not None:
        return stated
    each = config.optional_integer("moe_shared_expert_intermediate_size", least=1) or width
    return (_first(config, SHARED_COUNTS) or 0) * each


def _stretch(config: Config, count: int) -> list[bool]:
    """ERNIE 4.5: from a first to a last index (-1: the end), each so-manieth."""
    first = config.integer("moe_layer_start_index")
    last = config.value("moe_layer_end_index", default=-1)
    if isinstance(last, bool) or not isinstance(last, int) or last < -1:
        raise config.unusable("moe_layer_end_index", last, "a layer index or -1")
    last = count - 1 if last == -1 else last
    step = config.integer("moe_layer_interval", default=1, least=1)
    return [first <= index <= last and (index + 1) % step == 0 for index in range(count)]


def _indices(config: Config, key: str) -> list[int]:
    entries = config.value(key)
    if entries is None or isinstance(entries, Mapping):
        return []
    if not isinstance(entries, list) or any(isinstance(e, bool) or not isinstance(e, int) for e in entries):
        raise config.unusable(key, entries, "a list of layer indices")
    return entries
