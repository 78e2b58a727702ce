"""The Python calls beside ``plan``: how fast, what is possible, what runs here, what is better."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hwledger import app

if TYPE_CHECKING:
    from hwledger.device.node import Node
    from hwledger.device.spec import DeviceSpec
    from hwledger.planner.plan import Plan
    from hwledger.planner.solve.answer import Answer
    from hwledger.planner.solve.arrivals import Arrivals, Lengths
    from hwledger.planner.solve.limits import Limits
    from hwledger.planner.solve.ranking import Fitted
    from hwledger.planner.throughput import Throughput
    from hwledger.screens.compare import Compared

Length = int | str
"""Tokens: ``2000``, or as on the command line ``"500-4000"``, ``"lognormal(2000,0.8)"``."""


def speed(
    made: "Plan", *, prompt: Length | None = None, output: Length | None = None, rps: float | None = None
) -> "Throughput":
    """Return the speed of a plan, corrected by measured runs of one's own.

    Args:
        made: what ``hwledger.plan`` returned, with devices.
        prompt: length of prompts; the mean counts. What the answer leaves of the context where ``None``.
        output: length of answers, as ``prompt``.
        rps: requests that arrive per second; ``None``: the plan's users, who ask again at once.

    Figures that are not known are ``None``, and ``unknown`` says why.

    Raises:
        UsageError: a length or a rate that cannot be, or a rate without lengths.
    """
    from hwledger.planner.solve.question import traffic_under  # noqa: PLC0415 - start-up time

    return app.speed(made, traffic_under(made, *_traffic(prompt, output, rps)))


def solve(  # noqa: PLR0913 - what a question holds
    made: "Plan",
    unknown: str,
    *,
    limits: "Limits | None" = None,
    given: Sequence[str] = (),
    prompt: Length | None = None,
    output: Length | None = None,
    rps: float | None = None,
    seed: int = 0,
) -> "Answer":
    """Return what holds the limits: each answer planned and estimated by itself.

    Args:
        made: the plan to start from; without devices those of the catalogue are looked through.
        unknown: ``context``, ``concurrency``, ``weights``, ``kv-cache``, ``devices`` or ``all``.
        limits: what every answer holds.
        given: what of the plan is not to be varied: ``context``, ``concurrency``, ``weights``, ``kv-cache``.
        prompt: length of prompts.
        output: length of answers.
        rps: requests that arrive per second; every answer serves them as fast as they come.
        seed: of the simulation of arrivals.

    Raises:
        UsageError: there is no such unknown, or it cannot be found without a device.
    """
    from hwledger.planner.solve import solve as solver  # noqa: PLC0415 - start-up time

    arrivals, asked, answered = _traffic(prompt, output, rps)
    question = app.question_of(
        made, limits=limits, given=given, arrivals=arrivals, prompt=asked, output=answered, seed=seed
    )
    return solver.solve(question, unknown)


def fit(  # noqa: PLR0913 - what a fit depends on
    *words: str,
    device: str | None = None,
    engine: str | None = None,
    context: int | None = None,
    concurrency: int = 1,
    weights: str | None = None,
    limits: "Limits | None" = None,
    catalogue: bool = True,
    local: bool = True,
    sort: str = "size",
) -> "list[Fitted]":
    """Return the models that match all words, each in the best way that a machine runs it, ranked.

    Args:
        words: parts of names.
        device: devices or a node; this machine where ``None``.
        engine: only on this engine; what suits model and devices where ``None``.
        context: tokens of one request; 4096 where ``None``.
        concurrency: requests at once.
        weights: only in this type; the best that fits where ``None``.
        limits: what has to hold.
        catalogue: look at the catalogue.
        local: look at the models on this machine.
        sort: ``size``, ``speed`` or ``name``.

    Raises:
        UsageError: a device or a type that is not known.
    """
    from hwledger.planner.solve.limits import Limits  # noqa: PLC0415 - start-up time
    from hwledger.planner.solve.ranking import ranked  # noqa: PLC0415
    from hwledger.screens.fit import FitQuestion, fit_all  # noqa: PLC0415

    devices, node = place_of(device)
    asked = FitQuestion(
        devices=devices, node=node, engine=engine, context=context, concurrency=concurrency,
        weights=weights, limits=limits or Limits(),
    )  # fmt: skip
    return ranked(fit_all(words, asked, local=local, catalogue=catalogue), sort)


def compare(  # noqa: PLR0913 - what is compared
    *models: str,
    devices: Sequence[str | None] = (None,),
    weights: Sequence[str | None] = (None,),
    kv_caches: Sequence[str | None] = (None,),
    engines: Sequence[str | None] = (None,),
    context: int | None = None,
    concurrency: int | None = None,
    options: Sequence[str] = (),
) -> "list[Compared]":
    """Return every combination of what is named, planned and estimated: name, plan, speed, cost, quality.

    Raises:
        UsageError: less than two combinations, or more than twelve.
    """
    from hwledger.library.access import Access  # noqa: PLC0415 - start-up time
    from hwledger.screens.compare import CompareQuestion  # noqa: PLC0415
    from hwledger.screens.compare import compare as compared  # noqa: PLC0415

    asked = CompareQuestion(
        models=models, devices=tuple(devices), weights=tuple(weights), kv_caches=tuple(kv_caches),
        engines=tuple(engines), context=context, concurrency=concurrency, options=tuple(options),
    )  # fmt: skip
    return compared(asked, Access())


def place_of(device: str | None) -> "tuple[tuple[DeviceSpec, ...], Node | None]":
    """Return devices and the node that they are in; this machine for no text.

    Raises:
        UsageError, InputError: as ``app.devices_of``.
    """
    if device:
        return app.devices_of(device), app.named_node(device)
    from hwledger.telemetry.machine import this_machine  # noqa: PLC0415 - start-up time

    machine = this_machine()
    return machine.devices, machine.node


def _traffic(
    prompt: Length | None, output: Length | None, rps: float | None
) -> "tuple[Arrivals | None, Lengths | None, Lengths | None]":
    from hwledger.planner.solve.arrivals import arrivals_of, parse_lengths  # noqa: PLC0415 - start-up time

    asked, answered = (None if text is None else parse_lengths(str(text)) for text in (prompt, output))
    return arrivals_of(rps, asked, answered), asked, answered
