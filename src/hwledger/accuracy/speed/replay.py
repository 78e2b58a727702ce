"""Replaying measured speeds: predictions that never saw the device or the model, and two plain formulas."""

import csv
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final

from hwledger.accuracy.result import Result
from hwledger.accuracy.speed.cases import Case, measured
from hwledger.library.sources.catalogue import shipped_model
from hwledger.shipped import shipped_text

LLMFIT_SHARE: Final = 0.55
"""Share of the bandwidth in llmfit's formula (github.com/AlexsJones/llmfit, 2026-08-22)."""
WAYS: Final = {"device": "device left out", "model": "model left out"}


def replay_speeds(table: Iterable[dict[str, str]]) -> Iterator[Result]:
    """Yield each measured speed beside what constants predict that never saw its device, or its model.

    ``table`` is ``data/speed_held_out.csv``, which ``tools/fit_throughput.py`` writes; decoding is held
    against bytes over bandwidth and llmfit's formula too.
    """
    rows = list(table)
    every = [case for quantity in ("decode", "prefill") for case in measured(quantity)]
    for row, case in zip(rows, every, strict=True):
        yield from _held_out(row, case)
    for case in measured("decode"):
        if case.devices == 1 and not case.setting.wrapped:
            yield from _plain(case)


def _held_out(row: dict[str, str], case: Case) -> Iterator[Result]:
    rate = case.decode if row["quantity"] == "decode" else case.prefill
    for way, words in WAYS.items():
        if way == "model" and not row["others"]:
            continue
        yield Result(
            engine=case.setting.engine, component=f"{row['quantity']} tokens/s, {words}",
            regime=row["regime"].partition(", ")[2], case=case.name, measured=rate or 0.0,
            predicted=float(row[way]), interval=(float(row[f"{way}_low"]), float(row[f"{way}_high"])),
            source=case.source,
        )  # fmt: skip


def _plain(case: Case) -> Iterator[Result]:
    """Yield what two formulas without constants of ours say of a decoding speed."""
    bandwidth = float(case.device.bandwidth_bytes_per_second or 0)
    kind = "MoE" if case.work.experts else "dense"
    depth = case.depth + case.output / 2
    guesses = {"bytes over bandwidth": bandwidth / (case.work.weight_bytes() + case.work.cache_bytes(depth))}
    size = _llmfit().get(case.weights)
    if size and not case.work.experts:
        guesses["llmfit's formula"] = (
            LLMFIT_SHARE * bandwidth / (shipped_model(case.model).census.total * size)
        )
    for formula, predicted in guesses.items():
        yield Result(
            engine=case.setting.engine, component=f"decode tokens/s, {formula}", regime=f"{kind}, one device",
            case=case.name, measured=case.decode or 0.0, predicted=predicted, source=case.source,
        )  # fmt: skip


@cache
def _llmfit() -> dict[str, float]:
    text = shipped_text("hwledger.accuracy", "data/llmfit.csv")
    return {row["weights"]: float(row["bytes_per_parameter"]) for row in csv.DictReader(text.splitlines())}
