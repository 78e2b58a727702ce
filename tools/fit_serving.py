"""Fit the serving model: ``python tools/fit_serving.py``; needs scipy.

Reads ``accuracy/data/serving.csv`` and writes the constants and intervals of
``planner/throughput/data``, and for ``hwledger accuracy`` the constants with each (model, device,
engine) left out of the fit. The formulas are the package's own, handed arrays in place of numbers. Constants
are logarithms with a normal prior: effects of engines, packings and architectures shrink to none, so that
what was hardly measured is the average. Residuals count by a soft absolute value.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, fields
from math import log
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from hwledger.accuracy.replay import rows as shipped_rows
from hwledger.accuracy.serving import case_of_row, group_of, traffic_of_row
from hwledger.planner.throughput.serving_constants import QUANTITIES, SHARPNESS, tags_of
from hwledger.planner.throughput.serving_loads import Loads, loads_of
from hwledger.planner.throughput.serving_model import Multipliers, serve

ROOT = Path(__file__).parent.parent / "src/hwledger"
SHRINK = 5.0
"""How much more a prior counts than one row: rows of one series are not independent."""
TPOT_NOISE, TTFT_NOISE = 0.12, 0.30
NEW_ARCHITECTURE = "new architecture"
TAILS = {"tpot": 0.08, "ttft": 0.10}
"""Left out on each side of the interval: a few groups spread less than a further one would."""
COLUMNS = ("quantity", "effect", "value", "most")
NONE = 0.005
"""Effects within this of none are not written."""
Named = list[tuple[str, str, float, float]]
Held = tuple[np.ndarray, np.ndarray]
"""TTFT and TPOT of every row by constants that never saw it."""

BASE = {  # quantity: (start, standard deviation of its logarithm, bound)
    "dense_share": (0.7, 0.3, 0.95), "expert_share": (0.6, 0.3, 0.95), "cache_share": (0.5, 0.5, 0.95),
    "decode_rate_share": (0.35, 0.5, 0.9), "prefill_rate_share": (0.35, 0.5, 0.9),
    "prefill_attention_share": (0.3, 0.7, 0.9), "link_share": (0.4, 0.5, 1.0),
    "layer_seconds": (20e-6, 0.8, None), "moe_layer_seconds": (20e-6, 0.8, None),
    "state_layer_seconds": (10e-6, 0.8, None), "indexer_layer_seconds": (20e-6, 0.8, None),
    "prefill_layer_seconds": (100e-6, 1.0, None), "hop_seconds": (8e-6, 0.6, None),
    "step_seconds": (1e-3, 0.8, None), "request_seconds": (5e-6, 1.0, None), "state_share": (1.0, 0.5, None),
    "routing": (0.8, 0.3, 1.0), "imbalance": (0.3, 0.8, None), "prefill_scaling": (0.75, 0.2, 1.0),
    "decode_scaling": (0.85, 0.2, 1.0), "overlap": (0.5, 0.5, None), "interleave": (0.7, 0.4, None),
    "joint": (0.3, 0.6, None), "answer_seconds": (0.015, 0.7, None), "prompt_passes": (1.0, 0.25, None),
    "answer_steps": (3.0, 0.6, None), "queue": (0.07, 0.6, None), "queue_decay": (0.3, 0.6, None),
}  # fmt: skip
EFFECTS = {  # effect: {quantity: standard deviation of the logarithm}
    "engine:": {"layer_seconds": 0.3, "moe_layer_seconds": 0.3, "step_seconds": 0.4, "request_seconds": 0.6,
                "interleave": 0.3, "answer_seconds": 0.5, "prefill_layer_seconds": 0.6,
                "prefill_rate_share": 0.25, "expert_share": 0.2, "decode_rate_share": 0.25,
                "answer_steps": 0.4, "queue": 0.4, "hop_seconds": 0.3, "joint": 0.4},
    "weights:": {"expert_share": 0.2, "decode_rate_share": 0.3, "prefill_rate_share": 0.3,
                 "layer_seconds": 0.15},
    "architecture:": {"expert_share": 0.2, "decode_rate_share": 0.25, "prefill_rate_share": 0.25,
                      "layer_seconds": 0.12, "moe_layer_seconds": 0.12},
    "widened:": {"expert_share": 0.25, "decode_rate_share": 0.3, "prefill_rate_share": 0.25,
                 "moe_layer_seconds": 0.25},
    "experts": {"prefill_rate_share": 0.3, "decode_rate_share": 0.3},
    "latent": {"cache_share": 0.4, "layer_seconds": 0.25, "prefill_attention_share": 0.4},
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """The rows as arrays."""

    loads: Loads
    tags: dict[str, np.ndarray]
    ttft: np.ndarray
    tpot: np.ndarray
    group: np.ndarray
    engine: np.ndarray
    model: np.ndarray
    architecture: np.ndarray

    def part(self, mask: np.ndarray) -> "Table":
        """Return the rows of a mask."""
        loads = Loads(**{f.name: getattr(self.loads, f.name)[mask] for f in fields(Loads)})
        rest = {f.name: getattr(self, f.name)[mask] for f in fields(Table)[2:]}
        return Table(loads, {tag: on[mask] for tag, on in self.tags.items()}, **rest)


def read() -> Table:
    """Return the rows that are fitted."""
    rows = [row for row in shipped_rows("serving.csv") if not row["left_out"]]
    cases = [case_of_row(row) for row in rows]
    loads = [loads_of(case, traffic_of_row(row)) for case, row in zip(cases, rows, strict=True)]
    tags = [tags_of(case) for case in cases]
    every = sorted({tag for each in tags for tag in each})
    return Table(
        loads=Loads(**{f.name: np.array([getattr(x, f.name) for x in loads]) for f in fields(Loads)}),
        tags={tag: np.array([tag in each for each in tags]) for tag in every},
        ttft=np.array([float(row["ttft_ms"]) for row in rows]) / 1e3,
        tpot=np.array([float(row["tpot_ms"]) for row in rows]) / 1e3,
        group=np.array([group_of(row) for row in rows]),
        engine=np.array([row["engine"] for row in rows]),
        model=np.array([row["model"] for row in rows]),
        architecture=np.array([case.device.architecture.split()[0] for case in cases]),
    )


def parameters(table: Table) -> Named:
    """Return quantity, effect, mean and standard deviation of every logarithm."""
    found = [(name, "", log(start), deviation) for name, (start, deviation, _) in BASE.items()]
    for tag in table.tags:
        for kind, quantities in EFFECTS.items():
            if tag == kind or (kind.endswith(":") and tag.startswith(kind)):
                found += [(name, tag, 0.0, deviation) for name, deviation in quantities.items()]
    return found


def multipliers(x: np.ndarray, named: Named, table: Table) -> Multipliers:
    """Return the constants of every row: arrays in place of numbers."""
    logs: dict[str, Any] = dict.fromkeys(QUANTITIES, 0.0)
    for value, (name, tag, _, _) in zip(x, named, strict=True):
        logs[name] = logs[name] + (value * table.tags[tag] if tag else value)
    values = {}
    for name, total in logs.items():
        value, most = np.exp(total), BASE[name][2]
        values[name] = value / (1 + (value / most) ** SHARPNESS) ** (1 / SHARPNESS) if most else value
    return Multipliers(**values)


def predict(x: np.ndarray, named: Named, table: Table) -> tuple[Any, Any]:
    """Return TTFT and TPOT of every row."""
    served = serve(table.loads, multipliers(x, named, table))
    return served.ttft, served.tpot


def fit(table: Table, named: Named, start: np.ndarray | None = None) -> np.ndarray:
    """Return the logarithms that fit the rows, from ``start``; a large group counts less than its rows."""
    mean = np.array([each[2] for each in named])
    deviation = np.array([each[3] for each in named])
    _, where, count = np.unique(table.group, return_inverse=True, return_counts=True)
    weight = np.clip((60 / count[where]) ** 0.25, 0.6, 1.3)

    def residuals(x: np.ndarray) -> np.ndarray:
        ttft, tpot = predict(x, named, table)
        z = np.concatenate([
            np.log(tpot / table.tpot) * weight / TPOT_NOISE, np.log(ttft / table.ttft) * weight / TTFT_NOISE,
        ])  # fmt: skip
        soft = np.sign(z) * np.sqrt(2 * (np.sqrt(1 + z * z) - 1))
        return np.concatenate([soft, (x - mean) / deviation * SHRINK])

    found = least_squares(
        residuals,
        mean if start is None else start,
        max_nfev=40 if start is None else 12,
        ftol=1e-4,
        xtol=1e-4,
    )
    return np.asarray(found.x)


def left_out(table: Table, by: np.ndarray, start: np.ndarray | None = None) -> Iterator[tuple[str, Any, Any]]:
    """Yield each part, its mask and the constants fitted without it."""
    for name in sorted(set(by)):
        mask = by == name
        rest = table.part(~mask)
        named = parameters(table)
        yield str(name), mask, fit(rest, named, start)


def spread(values: np.ndarray, weight: np.ndarray, tail: float) -> tuple[float, float]:
    """Return the weighted quantiles of measured over predicted that leave ``tail`` out on each side."""
    order = np.argsort(values)
    share = np.cumsum(weight[order]) / weight.sum()
    low, high = (values[order][np.searchsorted(share, at)] for at in (tail, 1 - tail))
    return float(low), float(high)


def hold_out(
    table: Table, by: np.ndarray, title: str, start: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Return constants per part, and TTFT and TPOT of each row by the constants that never saw its part."""
    named = parameters(table)
    fits, ttft, tpot = {}, np.zeros(len(table.ttft)), np.zeros(len(table.ttft))
    for name, mask, x in left_out(table, by, start):
        fits[name] = x
        ttft[mask], tpot[mask] = predict(x, named, table.part(mask))
    report(title, table, ttft, tpot)
    return fits, (ttft, tpot)


def report(title: str, table: Table, ttft: np.ndarray, tpot: np.ndarray) -> None:
    """Print median and 90 % quantile of the errors, per engine and in all."""
    for engine in (*sorted(set(table.engine)), "all"):
        mask = (table.engine == engine) | (engine == "all")
        shown = []
        for name, predicted, measured in (("TPOT", tpot, table.tpot), ("TTFT", ttft, table.ttft)):
            error = np.abs(predicted[mask] / measured[mask] - 1) * 100
            shown.append(f"{name} {np.median(error):5.1f} / {np.quantile(error, 0.9):5.1f} %")
        print(f"{title:24} {engine:14} n={mask.sum():5} {'   '.join(shown)}", flush=True)


def write(path: Path, notes: str, columns: tuple[str, ...], rows: Iterator[tuple[object, ...]]) -> None:
    """Write one table with its notes."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("".join(f"# {line}\n" for line in notes.strip().splitlines()))
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def constant_rows(x: np.ndarray, named: Named) -> Iterator[tuple[object, ...]]:
    """Yield quantity, effect, value and bound; effects within 0.5 % of none are left out."""
    for value, (name, tag, _, _) in zip(x, named, strict=True):
        if not tag:
            yield name, "", f"{np.exp(value):.5g}", BASE[name][2] or ""
        elif abs(value) >= NONE:
            yield name, tag, f"{np.exp(value):.4f}", ""


def intervals(table: Table, held: Held, mask: np.ndarray) -> dict[str, tuple[float, float, int]]:
    """Return the ends of the intervals by figure over the rows of a mask, and their number.

    A group counts as the square root of its rows: its rows miss together.
    """
    _, where, count = np.unique(table.group[mask], return_inverse=True, return_counts=True)
    weight = count[where] ** -0.5
    return {
        figure: (*spread((measured / predicted)[mask], weight, TAILS[figure]), int(mask.sum()))
        for figure, measured, predicted in (("tpot", table.tpot, held[1]), ("ttft", table.ttft, held[0]))
    }


def main() -> None:
    """Fit, hold out, write."""
    table = read()
    named = parameters(table)
    x = fit(table, named)
    report("in the fit", table, *predict(x, named, table))
    fits, held = hold_out(table, table.group, "group left out", x)
    new = hold_out(table, table.architecture, "architecture left out", x)[1]
    hold_out(table, table.model, "model left out", x)
    save(table=table, named=named, x=x, fits=fits, held=held, new=new)


def save(  # noqa: PLR0913 - everything that is written
    *, table: Table, named: Named, x: np.ndarray, fits: dict[str, np.ndarray], held: Held, new: Held
) -> None:  # fmt: skip
    """Write the three tables."""
    target = ROOT / "planner/throughput/data"
    notes = f"""Fitted by tools/fit_serving.py to {len(table.ttft)} rows of accuracy/data/serving.csv.
quantity: field of serving_model.Multipliers; effect: empty for the value itself, else a multiplier where it
applies; most: bound of a share of a peak."""
    write(target / "serving_constants.csv", notes, COLUMNS, constant_rows(x, named))
    found = [
        (figure, engine, *ends)
        for engine in sorted(set(table.engine))
        for figure, ends in intervals(table, held, table.engine == engine).items()
    ]
    every = np.ones(len(table.ttft), dtype=bool)
    found += [(figure, NEW_ARCHITECTURE, *ends) for figure, ends in intervals(table, new, every).items()]
    notes = """Quantiles of measured over predicted, each (model, device, engine) seen by a fit without it;
8 % and 92 % of TPOT, 10 % and 90 % of TTFT: with few groups these hold 80 % of a further group's rows.
new architecture: fitted on Hopper or on Blackwell alone, seen on the other."""
    lines = ((figure, regime, f"{low:.3f}", f"{high:.3f}", n) for figure, regime, low, high, n in found)
    write(target / "serving_intervals.csv", notes, ("figure", "regime", "low", "high", "rows"), lines)
    notes = (
        "Constants and intervals with one group left out of the fit, for the replay: tools/fit_serving.py."
    )
    write(ROOT / "accuracy/data/serving_held_out.csv", notes, ("group", *COLUMNS),
          held_rows(table, named, fits, held))  # fmt: skip


def held_rows(
    table: Table, named: Named, fits: dict[str, np.ndarray], held: Held
) -> Iterator[tuple[object, ...]]:
    """Yield the rows of every group; print how many of their rows the intervals of the other groups hold."""
    inside: dict[tuple[str, str], list[bool]] = {}
    for group, x in fits.items():
        yield from ((group, *row) for row in constant_rows(x, named))
        mask = table.group == group
        engine = str(table.engine[mask][0])
        found = intervals(table, held, (table.engine == engine) & ~mask)
        for figure, measured, predicted in (("tpot", table.tpot, held[1]), ("ttft", table.ttft, held[0])):
            low, high, _ = found[figure]
            yield group, f"{figure} low", "", f"{low:.3f}", ""
            yield group, f"{figure} high", "", f"{high:.3f}", ""
            hits = [low <= ratio <= high for ratio in (measured / predicted)[mask]]
            inside.setdefault((figure, engine), []).extend(hits)
            inside.setdefault((figure, "all"), []).extend(hits)
    for (figure, engine), hits in sorted(inside.items()):
        print(f"{figure} {engine:14} {np.mean(hits):.1%} of {len(hits)} rows in the other groups' interval")


if __name__ == "__main__":
    main()
