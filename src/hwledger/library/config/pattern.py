"""Which layers see everything and which a window: explicit lists, and the rules of families without one."""

from collections.abc import Callable

from hwledger.library.config.reader import Config

# Kinds that a family gives by position alone, even where no window is stated.
_BY_POSITION = ("every", "first", "edge", "ends")
Rule = Callable[[int], bool]
FULL = "full_attention"
SLIDING = "sliding_attention"
CHUNKED = "chunked_attention"
_SPOKEN = {"local": SLIDING, "global": FULL, "attention": FULL, "sliding": SLIDING, "full": FULL, "moe": FULL}
WINDOWS = ("sliding_window", "sliding_window_size", "window_size")


def layer_kinds(config: Config, count: int, pattern: str) -> list[str]:
    """Return the kind of each of ``count`` layers.

    A list in the file wins. ``pattern`` is the family's rule where there is none:

    - ``full``: no layer slides; ``all``: every layer slides.
    - ``upper``: from ``max_window_layers`` on, if ``use_sliding_window``; ``even_below``: the even
      layers below it.
    - ``every:N``: each N-th is full, the others slide; a stated ``sliding_window_pattern`` replaces
      N. ``windowed:N``: the same, where a window is stated.
    - ``first:N``: layers 0, N, 2N … are full; ``edge:N``: the first and each N-th; ``ends:N``: the
      first two, 1 + N, 1 + 2N … and the last.
    - ``norope:N``: layers without rotary positions slide, by default each N-th.

    Source: ``__post_init__`` of the config classes, transformers 5.23.0.

    Raises:
        MalformedError: a list is shorter than the number of layers or names no kind.
    """
    stated = _stated(config, count)
    if stated is not None:
        return stated
    if pattern == "full" or (not pattern.startswith(_BY_POSITION) and not _windowed(config)):
        return [FULL] * count
    return _derived(config, count, pattern)


def window_of(config: Config) -> int | None:
    """Return the window in tokens, or ``None`` where the model has none."""
    return config.optional_integer(*WINDOWS) or None


def _stated(config: Config, count: int) -> list[str] | None:
    kinds = config.sequence("layer_types", length=count)
    if kinds is not None:
        heads = config.optional_integer("num_nextn_predict_layers") or 0
        if len(kinds) not in (count, count + heads):  # a list may go on into the MTP heads (Step-3.7)
            raise config.unusable("layer_types", f"{len(kinds)} entries", f"{count} entries, one per layer")
        return [_kind(config, "layer_types", kind) for kind in kinds[:count]]
    flags = config.sequence("hybrid_layer_pattern", length=count)
    if flags is not None:
        return [SLIDING if flag else FULL for flag in flags[:count]]
    groups = config.sequence("attention_types")
    if groups is not None:
        return _grouped(config, groups, count)
    return None


def _kind(config: Config, key: str, kind: object) -> str:
    if not isinstance(kind, str):
        raise config.unusable(key, kind, "a list of strings")
    return _SPOKEN.get(kind, kind)


def _grouped(config: Config, groups: list[object], count: int) -> list[str]:
    """GPT-Neo: ``[[["global", "local"], 12]]`` is the pair twelve times."""
    kinds: list[str] = []
    for group in groups:
        match group:
            case [list(names), int(times)] if 0 <= times <= count:
                kinds += [_kind(config, "attention_types", name) for name in names] * times
            case _:
                raise config.unusable("attention_types", group, "pairs of kinds and a count")
    if len(kinds) != count:
        raise config.unusable("attention_types", f"{len(kinds)} layers", f"{count} layers")
    return kinds


def _windowed(config: Config) -> bool:
    if "use_sliding_window" in config.raw or "use_sliding_window" in config.defaults.values:
        return config.flag("use_sliding_window") and window_of(config) is not None
    return window_of(config) is not None


def _derived(config: Config, count: int, pattern: str) -> list[str]:
    rule, _, step = pattern.partition(":")
    slides = _RULES[rule](config, int(step or 0))
    kinds = [SLIDING if slides(index) else FULL for index in range(count)]
    if rule == "ends":
        kinds[-1] = FULL
    return kinds


def _ends(config: Config, step: int) -> Rule:
    del config
    return lambda index: index > 1 and index % step != 1


def _all(config: Config, step: int) -> Rule:
    del config, step
    return lambda index: index >= 0


def _upper(config: Config, step: int) -> Rule:
    del step
    first = config.integer("max_window_layers", default=0)
    return lambda index: index >= first


def _even_below(config: Config, step: int) -> Rule:
    del step
    first = config.integer("max_window_layers", default=0)
    return lambda index: index % 2 == 0 and index < first


def _every(config: Config, step: int) -> Rule:
    period = _period(config, step)
    if isinstance(period, str):
        return lambda index: period[index % len(period)] not in "GF"
    return lambda index: (index + 1) % period != 0


def _first(config: Config, step: int) -> Rule:
    period = _period(config, step)
    return lambda index: isinstance(period, int) and index % period != 0


def _edge(config: Config, step: int) -> Rule:
    del config
    return lambda index: index > 0 and (index + 1) % step != 0


def _no_rope(config: Config, step: int) -> Rule:
    stated = config.sequence("no_rope_layers")
    every = config.integer("no_rope_layer_interval", default=step, least=1)
    if stated is not None:
        return lambda index: index < len(stated) and not stated[index]
    return lambda index: (index + 1) % every == 0


_RULES: dict[str, Callable[[Config, int], Rule]] = {
    "all": _all,
    "upper": _upper,
    "even_below": _even_below,
    "every": _every,
    "windowed": _every,
    "first": _first,
    "edge": _edge,
    "ends": _ends,
    "norope": _no_rope,
}


def _period(config: Config, default: int) -> int | str:
    stated = config.value("sliding_window_pattern", "_sliding_window_pattern", "global_attn_every_n_layers")
    if isinstance(stated, str) and stated and set(stated.upper()) <= set("LGSF"):
        return stated.upper()
    if stated is None:
        return default
    keys = ("sliding_window_pattern", "_sliding_window_pattern", "global_attn_every_n_layers")
    return config.integer(*keys, least=1)
