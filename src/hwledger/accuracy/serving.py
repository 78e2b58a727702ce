"""vLLM, SGLang and TensorRT-LLM under load: TTFT and TPOT that public benchmarks measured.

Each row is predicted by constants that never saw its (model, device, engine), beside the plain roofline:
bytes over bandwidth and operations over the dense rate.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache

from hwledger.accuracy.result import Result
from hwledger.device.catalogue import find_device
from hwledger.library.sources.catalogue import shipped_model
from hwledger.model.number_types import number_type
from hwledger.planner.throughput.figure import Traffic
from hwledger.planner.throughput.parallel import Parallel
from hwledger.planner.throughput.serving_case import serving_case
from hwledger.planner.throughput.serving_constants import Constants, read_constants, tags_of
from hwledger.planner.throughput.serving_loads import Loads, ServingCase, held_steps, loads_of
from hwledger.planner.throughput.serving_model import Served, serve

HELD_OUT = "serving_held_out.csv"
FIGURES = ("tpot", "ttft")


def replay_serving(table: Iterable[dict[str, str]]) -> Iterator[Result]:
    """Yield TPOT and TTFT of every row that shows what it is labelled as, and the same by plain roofline."""
    left_out = held_out()
    for row in table:
        if row["left_out"]:
            continue
        case, traffic = case_of_row(row), traffic_of_row(row)
        loads = loads_of(case, traffic)
        constants, spreads = left_out[group_of(row)]
        served = serve(loads, constants.apply(tags_of(case)))
        yield from _results(row, served, spreads)
        yield from _roofline(row, loads)


def group_of(row: Mapping[str, str]) -> str:
    """Return the group that is left out of a fit together: model, device and engine."""
    return f"{row['model']} {row['device']} {row['engine']}"


def case_of_row(row: Mapping[str, str]) -> ServingCase:
    """Return the case of a row."""
    case = serving_case(
        _model(row["model"]), find_device(row["device"]), engine=row["engine"],
        weights=row["weights"] or None,
        parallel=Parallel(tensor=int(row["tp"]), expert=int(row["ep"]), data=int(row["dp"])),
        cache_bytes=number_type(row["cache"]).bits / 8,
    )  # fmt: skip
    return replace(case, held_steps=held_steps(int(row["polled"] or 1), int(row["gathered"] or 0)))


def traffic_of_row(row: Mapping[str, str]) -> Traffic:
    """Return the traffic of a row at the mean lengths of its requests."""
    share = float(row["lengths"])
    return Traffic(
        prompt_tokens=round(int(row["prompt"]) * share),
        output_tokens=max(1, round(int(row["output"]) * share)), concurrency=int(row["concurrency"]),
    )  # fmt: skip


_model = cache(shipped_model)


@cache
def held_out() -> dict[str, tuple[Constants, dict[str, float]]]:
    """Return, by group, the constants of a fit without it and the ends of its intervals (``tpot low``)."""
    from hwledger.accuracy.replay import rows  # noqa: PLC0415 - replay imports this module

    by_group: dict[str, list[dict[str, str]]] = {}
    for row in rows(HELD_OUT):
        by_group.setdefault(row["group"], []).append(row)
    return {
        group: (
            read_constants(each for each in kept if " " not in each["quantity"]),
            {each["quantity"]: float(each["value"]) for each in kept if " " in each["quantity"]},
        )
        for group, kept in by_group.items()
    }


def _results(row: Mapping[str, str], served: Served, spreads: Mapping[str, float]) -> Iterator[Result]:
    for name in FIGURES:
        value = (served.tpot if name == "tpot" else served.ttft) * 1e3
        yield Result(
            engine=row["engine"], component=f"{name.upper()} under load",
            regime="model, device and engine left out",
            case=_case(row), measured=float(row[f"{name}_ms"]), predicted=value,
            interval=(value * spreads[f"{name} low"], value * spreads[f"{name} high"]), source=row["source"],
        )  # fmt: skip


def _roofline(row: Mapping[str, str], x: Loads) -> Iterator[Result]:
    covered = 1.0 - (1.0 - x.active_share) ** x.running
    batch = x.running / x.replicas
    memory = x.dense_seconds + x.expert_seconds * covered + batch * (x.cache_seconds + x.state_seconds)
    compute = x.running * x.matrix_seconds / x.devices + batch * x.attention_seconds / x.ranks
    prompt = x.prefill_matrix_seconds / x.devices + x.prefill_attention_seconds / x.ranks
    for name, seconds in (("tpot", max(memory, compute)), ("ttft", prompt)):
        yield Result(
            engine=row["engine"], component=f"{name.upper()} under load", regime="plain roofline",
            case=_case(row), measured=float(row[f"{name}_ms"]), predicted=seconds * 1e3, source=row["source"],
        )  # fmt: skip


def _case(row: Mapping[str, str]) -> str:
    ranks = Parallel(tensor=int(row["tp"]), expert=int(row["ep"]), data=int(row["dp"]))
    lengths = f"{row['prompt']}/{row['output']} x{row['concurrency']}"
    return f"{row['model']} {row['weights']} {row['device']} {ranks} {row['version']} {lengths}".replace(
        "  ", " "
    )
