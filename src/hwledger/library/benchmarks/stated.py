"""What a run's file states of its model: the quantisation, the parameters and the size."""

import re
from typing import Final

from hwledger.errors import UsageError
from hwledger.library.benchmarks.run import BenchmarkRun
from hwledger.model.ggml_mixes import is_ggml_mix
from hwledger.model.spec import ModelSpec
from hwledger.model.tensors import Part
from hwledger.planner.memory import Category
from hwledger.planner.plan import Plan
from hwledger.units import format_bytes, format_count

MOST_OFF: Final = 1.15
"""Stated over planned, either way, beyond which the file is of another model."""
_TYPE: Final = re.compile(
    r"(?<![a-z0-9])((?:i?q|tq)\d_[a-z0-9]+(?:_[a-z]+)?|mxfp4|bf16|f16|f32)(?![a-z0-9])"
    r"(?: (?:- (small|medium|large)|(mix)|(moe)))?",
    re.IGNORECASE,
)
_PLAIN: Final = {"F16": "f16", "BF16": "bf16", "F32": "f32"}


def fitting_weights(run: BenchmarkRun, spec: ModelSpec, given: str | None) -> str | None:
    """Return the quantisation to hold a run against: as given, as the model's own file has it, as stated.

    Raises:
        UsageError: the file is of a model of another size.
    """
    check_parameters(run, spec)
    return given if given or spec.format == "gguf" else stated_weights(run)


def stated_weights(run: BenchmarkRun) -> str | None:
    """Return the quantisation that a run's file states, as ``--weights`` takes it; ``None`` where none.

    The names are those of llama.cpp b11434 ``llama_ftype_name`` (``Q4_K - Medium``), which come before
    those in a file's name (``Q4_K_M``).
    """
    found = (_mix(match) for text in (run.weights, run.model) for match in _TYPE.finditer(text))
    return next((name for name in found if name), None)


def _mix(match: re.Match[str]) -> str | None:
    name, grade, mixed, moe = match.groups()
    name = name.upper()
    if name in _PLAIN:
        return _PLAIN[name]
    if name == "MXFP4":
        return "MXFP4_MOE" if moe else None
    if mixed and name == "IQ3_S":
        return "IQ3_M"
    # llama.cpp calls Q2_K "Medium" and Q3_K_S "Small", and has no Q2_K_M
    graded = f"{name}_{grade[0].upper()}" if grade else name
    return next((each for each in (graded, name) if is_ggml_mix(each)), None)


def check_parameters(run: BenchmarkRun, spec: ModelSpec) -> None:
    """Refuse a model that has not the parameters that the run's file states, towers counted or not.

    Raises:
        UsageError: more than 15 % apart.
    """
    census = spec.census
    if not run.parameters or not census.total:
        return
    language = census.total - census.by_part.get(Part.TOWER, 0)
    if not any(_close(run.parameters, known) for known in (census.total, language + census.mtp, language)):
        raise UsageError(
            f"{run.source}: the file states {format_count(run.parameters)} parameters, and {spec.id} has "
            f"{format_count(census.total)}; name the model that ran with --model"
        )


def check_size(run: BenchmarkRun, made: Plan) -> None:
    """Refuse weights that are not as large as the run's file states.

    Raises:
        UsageError: more than 15 % apart.
    """
    weights = [part for part in made.memory.components if part.category is Category.WEIGHTS]
    planned = sum(part.size_bytes for part in weights)
    if run.size_bytes and planned and not _close(run.size_bytes, planned):
        stated = format_bytes(round(run.size_bytes))
        raise UsageError(
            f"{run.source}: the file states {stated} of weights, and {made.spec.id} "
            f"takes {format_bytes(planned)} as {made.request.weights or 'stored'}; give the quantisation "
            "that ran with --weights"
        )


def _close(stated: float, known: float) -> bool:
    return known > 0 and 1 / MOST_OFF <= stated / known <= MOST_OFF
