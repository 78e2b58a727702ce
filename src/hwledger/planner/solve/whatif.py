"""What if: changes to a plan, each planned and estimated anew, beside the plan as it is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from hwledger.errors import UnknownOptionError, UsageError
from hwledger.planner.options import parse_options
from hwledger.planner.request import OptionValue, Request
from hwledger.planner.solve.choices import rows
from hwledger.planner.solve.limits import Miss
from hwledger.planner.solve.quality import KV_CACHE, WEIGHTS, canonical, evidence_of, is_plain
from hwledger.planner.solve.question import Measured, Question, measure
from hwledger.planner.throughput import Speculation, Traffic
from hwledger.planner.weights import weigh
from hwledger.units import format_tokens, parse_size

MOST_EFFECTS: Final = 8
DRAFTED: Final = {"eagle3": 3, "mtp": 1}
"""Tokens that a draft proposes where nothing is said, as vLLM's own examples have it."""
METHODS: Final = tuple(DRAFTED)
RANKS: Final = {"tp": "tensor_parallel_size", "pp": "pipeline_parallel_size", "dp": "data_parallel_size"}
EXACT: Final = "the answers' distribution stays the same: rejected drafts are drawn anew (arXiv 2211.17192)"
SAME: Final = "no change: the same numbers are computed"
EXAMPLES: Final = "fp8-kv, awq, tp=2, spec=eagle3, prefix-cache=0.6, context=32k, users=8, power=300W"


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One change, or several together.

    Attributes:
        name: as it was written; ``as it is`` for the baseline.
        measured: the changed plan.
        traffic: who asks what of it.
        quality: what it does to the answers, each with its source, or that it is not known.
        notes: what is not modelled.
    """

    name: str
    measured: Measured
    traffic: Traffic | None = None
    quality: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Change:
    """What an effect changes: the request, and of the traffic what is cached and accepted."""

    request: Request
    cached: float = 0.0
    speculation: Speculation | None = None
    quality: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def what_if(question: Question, texts: Sequence[str]) -> tuple[Effect, ...]:
    """Return the plan as it is, with each change alone, and with all of them together.

    Raises:
        UsageError: a change that cannot be read, or that the engine does not know.
    """
    names = [part.strip() for text in texts for part in text.split(",") if part.strip()]
    if not names:
        raise UsageError(f"name what would change: {EXAMPLES}")
    if len(names) > MOST_EFFECTS:
        raise UsageError(
            f"{len(names)} changes are too many to look at side by side; name {MOST_EFFECTS} at most"
        )
    start = _Change(request=question.request)
    alone = [_applied(question, start, name) for name in names]
    effects = [_effect(question, "as it is", start), *map(lambda n, c: _effect(question, n, c), names, alone)]
    if len(names) > 1:
        together = start
        for name in names:
            together = _applied(question, together, name)
        effects.append(_effect(question, "all together", together))
    return tuple(effects)


def _effect(question: Question, name: str, change: _Change) -> Effect:
    plain, asked = question.estimator, question
    if plain is not None:
        asked = replace(question, estimator=lambda plan, traffic: plain(plan, _changed(traffic, change)))
    measured = _kept_up(question, measure(asked, change.request))
    if measured.plan is None:
        return Effect(name=name, measured=measured, notes=(measured.refusal,))
    traffic = _changed(question.traffic(measured.plan), change)
    return Effect(name=name, measured=measured, traffic=traffic, quality=change.quality, notes=change.notes)


def _kept_up(question: Question, measured: Measured) -> Measured:
    """With the arrival rate as a missed limit where the estimate has no figure under it, and says why."""
    speed = measured.throughput
    if question.arrivals is None or speed is None or speed.ttft_seconds is not None:
        return measured
    why = "; ".join(speed.unknown) or "the speed under these arrivals is not known"
    over = Miss("min_requests_per_second", question.arrivals.requests_per_second, None, why)
    return replace(measured, misses=(*measured.misses, over))


def _changed(traffic: Traffic, change: _Change) -> Traffic:
    """Traffic of which a share of each prompt is in the cache already, and drafts are accepted."""
    cached = round(traffic.prompt_tokens * change.cached)
    return replace(
        traffic, prompt_tokens=traffic.prompt_tokens - cached, cached_tokens=traffic.cached_tokens + cached,
        speculation=change.speculation,
    )  # fmt: skip


def _applied(question: Question, change: _Change, text: str) -> _Change:
    key, equals, value = text.partition("=")
    key = key.strip().lower()
    value = value.strip()
    if equals and key in _WITH_VALUE:
        return _WITH_VALUE[key](question, change, value)
    if not equals:
        return _bare(question, change, text.strip())
    return _option(question, change, text)


def _bare(question: Question, change: _Change, text: str) -> _Change:
    """A word: a type of the cache, expert parallelism, multi-token prediction, or a type of weights."""
    plain = text.lower()
    if plain.endswith("-kv") or plain.startswith("kv-"):
        return _kv_cache(question, change, plain.removesuffix("-kv").removeprefix("kv-"))
    if plain == "ep":
        return _options(question, change, {"enable_expert_parallel": True}, (SAME,))
    if plain == "mtp":
        return _speculation(question, change, "mtp")
    return _weights(question, change, text)


def _weights(question: Question, change: _Change, name: str) -> _Change:
    try:
        weigh(question.request.spec, name)
    except UnknownOptionError:
        raise UsageError(f"{name!r} is no change that is known; write {EXAMPLES}") from None
    request = question.vary(change.request, weights=name)
    return replace(change, request=request, quality=(*change.quality, *quality_of(WEIGHTS, name)))


def _kv_cache(question: Question, change: _Change, name: str) -> _Change:
    request = question.vary(change.request, kv_cache=name)
    return replace(change, request=request, quality=(*change.quality, *quality_of(KV_CACHE, name)))


def quality_of(kind: str, name: str | None) -> tuple[str, ...]:
    """Return what is published of a type, each figure with its source, or that nothing is."""
    if name is None or is_plain(kind, name):
        return ("no change: as stored",) if name is None else ("16 bits: no loss",)
    what = "weights" if kind == WEIGHTS else "KV cache"
    found = evidence_of(kind, name)
    if not found:
        return (f"{what} {canonical(kind, name)}: not known, no published figure ships",)
    return tuple(f"{what} {name}: {one.sentence} [{one.source}]" for one in found)


def _ranks(option: str) -> "_Apply":
    def apply(question: Question, change: _Change, value: str) -> _Change:
        options = {**change.request.options, **_parsed(question, f"{option}={value}")}
        needed = 1
        for name in RANKS.values():
            needed *= int(str(options.get(name, 1)))
        devices = change.request.devices
        more = (
            (*devices, *(devices[-1:] * max(0, needed - len(devices))))[: max(needed, 1)] if devices else ()
        )
        request = question.vary(change.request, devices=more)
        return _options(question, replace(change, request=request), options, (SAME,))

    return apply


def _speculation(question: Question, change: _Change, value: str) -> _Change:
    """A draft head, or the model's own multi-token prediction: ``eagle3``, ``mtp:1``, ``eagle3:3:0.7``."""
    method, _, rest = value.lower().partition(":")
    count, _, stated = rest.partition(":")
    if method not in METHODS:
        raise UsageError(
            f"speculation with {method!r} is not known; write spec=eagle3, spec=mtp or, with drafted tokens "
            "and acceptance, spec=eagle3:3:0.7"
        )
    profile = question.profile
    if "num_speculative_tokens" not in profile.options:
        raise UsageError(
            f"drafting tokens ahead is not planned on {profile.name}: what it takes and gains there is not"
            " known; try --engine vllm"
        )
    if method == "mtp" and not question.request.spec.mtp_layers:
        raise UsageError(
            f"{question.request.spec.id} has no layers for multi-token prediction; try spec=eagle3"
        )
    drafted = count or str(DRAFTED[method])
    texts = [f"num_speculative_tokens={drafted}", *(["num_draft_layers=1"] if method != "mtp" else [])]
    options = {key: item for text in texts for key, item in _parsed(question, text).items()}
    made = _options(question, change, {**change.request.options, **options}, (EXACT,))
    chance, why = _acceptance(method, stated)
    note = f"drafted tokens a step: {drafted}; an acceptance of {chance:.2f} is taken: {why}"
    stating = Speculation(acceptance=chance, drafted=int(str(options["num_speculative_tokens"])), source=why)
    return replace(made, speculation=stating, notes=(*made.notes, note))


def _acceptance(method: str, stated: str) -> tuple[float, str]:
    """The chance that a drafted token is accepted, and where it is from."""
    if stated:
        try:
            chance = float(stated)
        except ValueError:
            chance = -1.0
        if not 0 <= chance <= 1:
            raise UsageError(f"an acceptance of {stated} is no chance; give one like 0.7")
        return chance, "as stated"
    row = next(row for row in rows("acceptance.csv") if row["method"] == method)
    chance = float(row["acceptance"] or 0) or chance_of(float(row["accepted_length"]), int(row["drafted"]))
    return chance, f"{row['model']}, {row['note']} [{row['source']}]; it depends on draft and text"


def chance_of(length: float, drafted: int) -> float:
    """Return the acceptance at which ``drafted`` tokens yield ``length`` tokens a round on the average.

    Inverts (1 - a^(g+1)) / (1 - a) (arXiv 2211.17192, equation 1), which grows with a, by halving.
    """
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(middle**i for i in range(drafted + 1)) < length else (low, middle)
    return (low + high) / 2


def _prefix(question: Question, change: _Change, value: str) -> _Change:
    del question
    share = _share(value)
    note = (
        f"{share:.0%} of each prompt is taken to be in the cache; memory counts each request in full, as if "
        "nobody shared a prefix"
    )
    return replace(change, cached=share, quality=(*change.quality, SAME), notes=(*change.notes, note))


def _share(value: str) -> float:
    try:
        share = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise UsageError(f"prefix-cache={value} is no share of a prompt; write it like prefix-cache=0.6")
    return share


def _power(question: Question, change: _Change, value: str) -> _Change:
    from hwledger.device.options import power  # noqa: PLC0415 - rarely asked

    devices = tuple(power(device, value) for device in change.request.devices)
    if not devices:
        raise UsageError("a power limit needs a device; give --device")
    request = question.vary(change.request, devices=devices)
    return replace(change, request=request, quality=(*change.quality, SAME))


def _workload(name: str) -> "_Apply":
    def apply(question: Question, change: _Change, value: str) -> _Change:
        try:
            number = parse_size(value)
        except ValueError as error:
            raise UsageError(f"{name}={value}: {error}") from None
        if number < 1:
            raise UsageError(f"{name}={value}: give at least 1")
        request = question.vary(change.request, **{name: number})
        said = f"{format_tokens(number)} tokens" if name == "context" else f"{number:,} users"
        return replace(change, request=request, quality=(*change.quality, SAME), notes=(*change.notes, said))

    return apply


def _option(question: Question, change: _Change, text: str) -> _Change:
    """Any option of the engine by its own name."""
    options = {**change.request.options, **_parsed(question, text)}
    return _options(question, change, options, ("not known: the option is the engine's own",))


def _parsed(question: Question, text: str) -> dict[str, OptionValue]:
    return parse_options(question.profile.name, question.profile.options, [text])


def _options(
    question: Question, change: _Change, options: Mapping[str, OptionValue], quality: tuple[str, ...]
) -> _Change:
    unknown = [name for name in options if name not in question.profile.options]
    if unknown:
        raise UnknownOptionError(
            f"{question.profile.name} option", unknown[0], sorted(question.profile.options)
        )
    request = replace(change.request, options={**change.request.options, **options})
    return replace(change, request=request, quality=(*change.quality, *quality))


_Apply = Callable[[Question, _Change, str], _Change]
_WITH_VALUE: Final[Mapping[str, _Apply]] = {
    "kv": _kv_cache, "kv-cache": _kv_cache, "weights": _weights, "quant": _weights,
    **{short: _ranks(name) for short, name in RANKS.items()},
    "spec": _speculation, "prefix-cache": _prefix, "power": _power,
    "context": _workload("context"), "users": _workload("concurrency"),
    "concurrency": _workload("concurrency"),
}  # fmt: skip
