"""The fit screen: what devices can run, ranked; and the comparison of several plans."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from hwledger.app import estimator, open_model
from hwledger.errors import HwledgerError, InputError
from hwledger.library.catalogue import search
from hwledger.planner.solve.corrections import runs_words
from hwledger.planner.solve.limits import Limits
from hwledger.planner.solve.ranking import Fitted, Mode, fit_model
from hwledger.planner.weights import check_weight_type
from hwledger.screens.column import Column
from hwledger.screens.speed import digits
from hwledger.units import format_count, format_gib

if TYPE_CHECKING:
    from hwledger.device.node import Node
    from hwledger.device.spec import DeviceSpec
    from hwledger.library.local.model import LocalModel
    from hwledger.model.spec import ModelSpec
    from hwledger.planner.solve.question import Estimator

COLUMNS: Final = (
    Column("model", wraps=True),
    Column("size", right=True),
    Column("active", right=True, rank=1),
    Column("runs"),
    Column("weights"),
    Column("GiB", right=True, rank=2),
    Column("host GiB", right=True, rank=3),
    Column("tokens/s", right=True),
    Column("interval", right=True, rank=4),
)  # fmt: skip
SHORT = {
    Mode.DEVICES: "on devices", Mode.EXPERTS: "experts in RAM", Mode.LAYERS: "layers in RAM", Mode.NOT: "no",
}  # fmt: skip
WORDS = {
    Mode.DEVICES: "on devices", Mode.EXPERTS: "with experts in host memory",
    Mode.LAYERS: "with layers in host memory", Mode.NOT: "not at all",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FitQuestion:
    """What is asked of every model.

    Attributes:
        devices: the devices.
        node: what they are in; ``None``: of the host nothing is known.
        engine: ``None``: what suits model and devices.
        context: tokens; ``None``: 4096 or less.
        concurrency: requests at once.
        weights: ``None``: the best that fits.
        limits: what has to hold.
    """

    devices: "tuple[DeviceSpec, ...]"
    node: "Node | None" = None
    engine: str | None = None
    context: int | None = None
    concurrency: int = 1
    weights: str | None = None
    limits: Limits


def fit_all(
    words: Sequence[str],
    asked: FitQuestion,
    *,
    local: bool = True,
    catalogue: bool = True,
    seen: Callable[[str], None] | None = None,
) -> list[Fitted]:
    """Return every model of the catalogue and of this machine that matches all words, fitted.

    Args:
        words: parts of names.
        asked: what is asked of each.
        local: look at the models on this machine.
        catalogue: look at the catalogue.
        seen: is told the name of each model before it is planned.

    Raises:
        UnknownOptionError: there is no such type of weights.
    """  # fmt: skip
    if asked.weights:
        check_weight_type(asked.weights)
    found, estimate = [], estimator()
    for name, open_it in [*(_catalogue(words) if catalogue else ()), *(_local(words) if local else ())]:
        if seen:
            seen(name)
        found.append(_fitted(name, open_it, asked, estimate))
    return found


def _fitted(name: str, open_it: Callable[[], object], asked: FitQuestion, estimate: "Estimator") -> Fitted:
    try:
        spec = open_it()
    except HwledgerError as error:
        return Fitted(model=name, parameters=0, active=0, engine="", mode=Mode.NOT, problem=str(error))
    return fit_model(
        spec, asked.devices, node=asked.node, engine=asked.engine, context=asked.context,  # type: ignore[arg-type] # a model
        concurrency=asked.concurrency, weights=asked.weights, limits=asked.limits, estimator=estimate,
    )  # fmt: skip


def _catalogue(words: Sequence[str]) -> list[tuple[str, Callable[[], object]]]:
    return [(entry.id, lambda ref=f"catalogue:{entry.id}": open_model(ref)) for entry in search(words)]  # type: ignore[misc]


def _local(words: Sequence[str]) -> list[tuple[str, Callable[[], object]]]:
    from hwledger.library.local.discovery import local_models  # noqa: PLC0415 - start-up time

    return [
        (model.ref, partial(_opened, model))
        for model in local_models()
        if all(word.lower() in f"{model.name} {model.ref}".lower() for word in words)
    ]


def _opened(model: "LocalModel") -> "ModelSpec":
    """Read a model of this machine.

    Raises:
        InputError: it cannot be read, or is not a whole model.
    """
    from hwledger.library.access import Access  # noqa: PLC0415 - start-up time
    from hwledger.library.local.opening import read_local  # noqa: PLC0415 - start-up time

    found = read_local(model, Access(offline=True))
    if found.spec is None:
        raise InputError(model.problem or found.problem)
    return found.spec


def fit_cells(one: Fitted) -> tuple[str, ...]:
    """Return a model as a row of ``COLUMNS``."""
    plan = one.measured.plan if one.measured else None
    speed = one.measured.throughput if one.measured else None
    rate = speed.decode_tokens_per_second if speed else None
    active = format_count(one.active) if one.active and one.active != one.parameters else ""
    if one.mode is Mode.NOT:
        plan = rate = None
    return (
        one.model,
        format_count(one.parameters) if one.parameters else "",
        active,
        SHORT[one.mode],
        (one.weights or "stored") if plan else "",
        f"{(plan.total_bytes - plan.host_bytes) / 2**30:,.1f}" if plan else "",
        f"{plan.host_bytes / 2**30:,.1f}" if plan and plan.host_bytes else "",
        digits(rate.value) if rate else "",
        f"{digits(rate.low)} … {digits(rate.high)}" if rate else "",
    )


def footer(fitted: Sequence[Fitted], shown: int, described: str) -> str:
    """Return the line below the list: how many run how, and on what."""
    counts = {mode: sum(one.mode is mode for one in fitted) for mode in Mode}
    said = ", ".join(f"{count} {WORDS[mode]}" for mode, count in counts.items() if count)
    engines = " and ".join(dict.fromkeys(one.engine for one in fitted if one.engine))
    speeds = (one.measured.throughput for one in fitted if one.measured)
    runs = "".join(f"; speeds {line}" for line in runs_words(speeds))
    more = f"; {len(fitted) - shown} more with --limit or --json" if shown < len(fitted) else ""
    return f"{described}, by {engines}: {said}{more}{runs}" if fitted else f"{described}: no model matches"


def host_words(host_bytes: int | None) -> str:
    """Return the host memory in words; empty where it is not known."""
    return f" and {format_gib(host_bytes)} of host memory" if host_bytes else ""
