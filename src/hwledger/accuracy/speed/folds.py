"""Predicting measurements with constants that never saw the device, the model or the family."""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from hwledger.accuracy.speed.cases import Case, measured, silicon
from hwledger.accuracy.speed.fitting import Floats, Prior, Problem, fit, problem
from hwledger.planner.throughput.decode import decode_terms
from hwledger.planner.throughput.prefill import prefill_terms
from hwledger.planner.throughput.regime import regime_of
from hwledger.planner.throughput.terms import MICROSECOND, Term
from hwledger.shipped import shipped_text

QUANTITIES: Final = ("decode", "prefill")
BALANCE: Final = 0.6
"""A device with n rows counts as n**0.4: many rows of one card are no many cards."""


@dataclass(frozen=True)
class Evaluation:
    """The measurements of one quantity, ready to be fitted.

    Attributes:
        quantity: ``decode`` or ``prefill``.
        cases: the measurements.
        seconds: measured: of one token, or of the whole prompt.
        made: the matrices of the model.
        weights: of each row.
    """

    quantity: str
    cases: tuple[Case, ...]
    seconds: Floats
    made: Problem
    weights: Floats

    @property
    def regimes(self) -> list[str]:
        """The regime of each row; programs around an engine are apart."""
        return [
            f"{self.quantity}, run by ollama or others"
            if case.setting.wrapped
            else regime_of(self.quantity, silicon(case), case.work, devices=case.devices, depth=case.depth)
            for case in self.cases
        ]

    @property
    def others(self) -> list[bool]:
        """Whether another model was measured on the same kind of memory, backend and build as each row's.

        Where there is none, leaving the model out leaves the backend out too, which is another question.
        """
        models: dict[tuple[object, ...], set[str]] = {}
        for case in self.cases:
            models.setdefault(_class_of(case), set()).add(model_key(case))
        return [len(models[_class_of(case)]) > 1 for case in self.cases]

    def everything(self) -> Floats:
        """Return the constants that all rows give."""
        return fit(self.made, self.seconds, np.arange(len(self.cases)), self.weights)

    def left_out(self, keys: Sequence[str], start: Floats, only: Iterable[str] = ()) -> Floats:
        """Return the seconds of every row as constants predict that saw no row with its key.

        Args:
            keys: of each row.
            start: constants to begin with.
            only: the keys to do; all where empty. Other rows stay ``nan``.
        """
        found, key = np.full(len(self.cases), np.nan), np.array(keys)
        for one in sorted(set(only) or set(keys)):
            inside, outside = np.flatnonzero(key == one), np.flatnonzero(key != one)
            constants = fit(self.made, self.seconds, outside, self.weights, start)
            found[inside] = self.made.seconds(constants, inside).sum(axis=0)
        return found


@cache
def evaluation(quantity: str) -> Evaluation:
    """Return the measurements of ``decode`` or ``prefill``."""
    wanted = measured(quantity)
    steps = [terms(quantity, case) for case in wanted]
    seconds = [1 / (c.decode or 1) if quantity == "decode" else c.prompt / (c.prefill or 1) for c in wanted]
    count = Counter(device_key(case) for case in wanted)
    return Evaluation(
        quantity=quantity, cases=wanted, seconds=np.array(seconds), made=problem(steps, priors()),
        weights=np.array([count[device_key(case)] ** -BALANCE for case in wanted]),
    )  # fmt: skip


def terms(quantity: str, case: Case) -> list[Term]:
    """Return the terms of a case; alike devices that share the layers hand over to the next one."""
    if quantity == "decode":
        found = decode_terms(case.work, silicon(case), case.setting, depth=case.depth + case.output / 2)
        hops = Term("hops", (case.devices - 1) * MICROSECOND, (("h", 1.0),))
        return [*found, *([hops] if case.devices > 1 else [])]
    prompt = prefill_terms(
        case.work, silicon(case), case.setting, tokens=case.prompt, depth=case.depth, stages=case.devices
    )
    return list(prompt or ())


def device_key(case: Case) -> str:
    """Return the chip: cards that differ in memory size only, or in name only, are left out together."""
    device = case.device
    return f"{device.vendor} {device.architecture} {device.units} {device.bandwidth_bytes_per_second}"


def model_key(case: Case) -> str:
    """Return the shape: fine-tunes and updates of one shape are left out together."""
    work = case.work
    return f"{work.layers} {work.hidden_size} {round(work.active_parameters / 1e7)} {len(work.experts)}"


def _class_of(case: Case) -> tuple[object, ...]:
    setting = case.setting
    return silicon(case).kind, setting.backend, setting.early, setting.wrapped, bool(case.work.experts)


def family_key(case: Case) -> str:
    """Return the family of the chip."""
    return silicon(case).family


@cache
def priors() -> Mapping[str, Prior]:
    """Return the prior of every kind of constant, from ``data/speed_priors.csv``."""
    text = shipped_text("hwledger.accuracy", "data/speed_priors.csv")
    return {
        row["constant"]: Prior(float(row["mean"]), float(row["width"]))
        for row in csv.DictReader(text.splitlines())
    }
