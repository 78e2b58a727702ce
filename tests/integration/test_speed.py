"""The speed model against the measurements that ship: held out, reproducible, better than plain formulas."""

import csv
from importlib.resources import files
from statistics import median

import pytest

from hwledger.accuracy import Result
from hwledger.accuracy.replay import rows
from hwledger.accuracy.speed.cases import table
from hwledger.accuracy.speed.folds import Evaluation, device_key, evaluation, model_key
from hwledger.accuracy.speed.replay import replay_speeds
from hwledger.planner.throughput.constants import shipped_constants

FOLDS = {"decode": ("device", device_key), "prefill": ("model", model_key)}


@pytest.fixture(scope="module")
def results() -> list[Result]:
    """Return the replay of every measured speed."""
    return list(replay_speeds(rows("speed_held_out.csv")))


def chosen(results: list[Result], component: str, regime: str, engine: str = "llama.cpp") -> list[Result]:
    """Return the results of one kind."""
    found = [r for r in results if (r.component, r.regime, r.engine) == (component, regime, engine)]
    assert found
    return found


def errors(results: list[Result]) -> tuple[float, float]:
    """Return median and 90 % quantile of the absolute errors."""
    ordered = sorted(abs(result.error) for result in results)
    return median(ordered), ordered[int(0.9 * len(ordered))]


@pytest.mark.requirement("FR-SPEED-ACCURACY")
@pytest.mark.parametrize(
    ("component", "regime", "middle", "most"),
    [
        ("decode tokens/s, device left out", "dense, NVIDIA", 0.05, 0.15),
        ("decode tokens/s, device left out", "dense, Apple", 0.05, 0.20),
        ("decode tokens/s, device left out", "dense, HBM", 0.10, 0.25),
        ("decode tokens/s, device left out", "MoE", 0.12, 0.25),
        ("decode tokens/s, model left out", "dense, NVIDIA", 0.05, 0.15),
        ("decode tokens/s, model left out", "MoE", 0.12, 0.25),
        ("prefill tokens/s, device left out", "dense, NVIDIA", 0.10, 0.25),
        ("prefill tokens/s, device left out", "dense, Apple", 0.10, 0.25),
        ("prefill tokens/s, device left out", "dense, HBM", 0.20, 0.50),
        ("decode tokens/s, model left out", "dense, HBM", 0.10, 0.25),
        ("decode tokens/s, model left out", "long context", 0.12, 0.35),
        ("prefill tokens/s, device left out", "long context", 0.25, 0.55),
        ("prefill tokens/s, device left out", "dense, AMD", 0.20, 0.50),
        ("prefill tokens/s, model left out", "dense, AMD", 0.20, 0.50),
        ("prefill tokens/s, model left out", "dense, NVIDIA", 0.10, 0.25),
        ("prefill tokens/s, device left out", "MoE", 0.20, 0.50),
        ("prefill tokens/s, device left out", "several devices", 0.20, 0.50),
        ("prefill tokens/s, model left out", "several devices", 0.20, 0.50),
        ("prefill tokens/s, model left out", "long context", 0.20, 0.60),
        ("prefill tokens/s, model left out", "dense, HBM", 0.20, 0.50),
        ("prefill tokens/s, model left out", "MoE", 0.20, 0.50),
    ],
)
def test_held_out_predictions_are_close(
    results: list[Result], component: str, regime: str, middle: float, most: float
) -> None:
    """Median and 90 % quantile of the error on devices, and on models, that the constants never saw."""
    half, nine = errors(chosen(results, component, regime))
    assert half <= middle
    assert nine <= most


@pytest.mark.requirement("FR-SPEED-ACCURACY")
def test_intervals_hold_what_they_state(results: list[Result]) -> None:
    """The 80 % intervals hold 75 to 85 % of all rows whose device was left out."""
    inside = [r.inside for r in results if r.component.endswith("device left out")]
    assert 0.75 <= sum(map(bool, inside)) / len(inside) <= 0.85


@pytest.mark.requirement("FR-SPEED-ACCURACY")
def test_the_model_beats_plain_formulas(results: list[Result]) -> None:
    """Half the median error of llmfit's formula and a quarter of bytes over bandwidth, or better."""
    held = [
        r
        for r in results
        if r.component == "decode tokens/s, device left out" and r.regime.startswith("dense")
    ]
    ours, _ = errors(held)
    llmfit, _ = errors(chosen(results, "decode tokens/s, llmfit's formula", "dense, one device"))
    roofline, _ = errors(chosen(results, "decode tokens/s, bytes over bandwidth", "dense, one device"))
    assert ours < llmfit / 2
    assert ours < roofline / 4


@pytest.mark.requirement("FR-SPEED-ACCURACY")
@pytest.mark.parametrize("quantity", ["decode", "prefill"])
def test_the_shipped_constants_are_those_of_the_data(quantity: str) -> None:
    """Fitting the table again gives the constants that ship, to their last printed digit or two."""
    made = evaluation(quantity)
    shipped = shipped_constants().values
    for name, value in zip(made.made.names, made.everything(), strict=True):
        assert shipped[name] == pytest.approx(value, abs=2e-3)


@pytest.mark.requirement("FR-SPEED-ACCURACY")
@pytest.mark.parametrize("quantity", ["decode", "prefill"])
def test_held_out_predictions_are_reproducible(quantity: str) -> None:
    """A fold that is fitted again, without its rows, predicts what the shipped table says it predicts."""
    made = evaluation(quantity)
    way, key = FOLDS[quantity]
    keys = [key(case) for case in made.cases]
    one = sorted(set(keys))[len(set(keys)) // 2]
    predicted = made.left_out(keys, made.everything(), only=[one])
    shipped = [row for row in rows("speed_held_out.csv") if row["quantity"] == quantity]
    for row, case, seconds, own in zip(shipped, made.cases, predicted, keys, strict=True):
        if own == one:
            rate = case.prompt if quantity == "prefill" else 1.0
            assert row["case"] == case.name
            assert float(row[way]) == pytest.approx(rate / seconds, rel=1e-2)


@pytest.mark.requirement("FR-SPEED-ACCURACY")
def test_a_left_out_device_has_no_part_in_its_prediction() -> None:
    """Changing the measurements of a device does not move the predictions that leave it out."""
    made = evaluation("prefill")
    keys = [device_key(case) for case in made.cases]
    one = keys[0]
    start = made.everything()
    before = made.left_out(keys, start, only=[one])
    doubled = made.seconds.copy()
    doubled[[key == one for key in keys]] *= 2
    changed = Evaluation(made.quantity, made.cases, doubled, made.made, made.weights)
    after = changed.left_out(keys, start, only=[one])
    assert [b for b, key in zip(before, keys, strict=True) if key == one] == [
        a for a, key in zip(after, keys, strict=True) if key == one
    ]


@pytest.mark.requirement("FR-SPEED-ACCURACY")
def test_every_measurement_has_a_source_and_what_is_left_out_a_reason() -> None:
    """Nothing is dropped in silence: the rows that are not used are in the table, with a sentence."""
    lines = table()
    assert len(lines) > 700
    assert all(row["source"] for row in lines)
    left_out = [row for row in lines if row["left_out"] or row["prefill_left_out"]]
    assert 0 < len(left_out) < len(lines) / 5
    assert all(len(row["left_out"] or row["prefill_left_out"]) > 20 for row in left_out)


@pytest.mark.requirement("FR-SPEED-ACCURACY")
def test_every_prior_is_explained() -> None:
    """A width of a prior is a choice of the model: each has its meaning beside it."""
    text = files("hwledger.accuracy").joinpath("data/speed_priors.csv").read_text("utf-8")
    lines = list(csv.DictReader(text.splitlines()))
    assert all(float(row["width"]) > 0 and row["meaning"] for row in lines)
