"""Exports: a plan as the command or the file that an engine accepts as it is, with the numbers behind it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Final

from hwledger.errors import DoesNotFitError, UnknownOptionError, UsageError
from hwledger.planner.export.recipe import Exported, Recipe
from hwledger.planner.fit import Verdict
from hwledger.planner.plan import Plan

__all__ = ["TARGETS", "Exported", "export", "exported", "planned_as"]


@dataclass(frozen=True, slots=True)
class Target:
    """One export target.

    Attributes:
        builder: module whose ``build(plan)`` gives the recipe; empty: that of the target inside.
        writer: module whose ``write(recipe, plan)`` gives the text.
    """

    builder: str
    writer: str


TARGETS: Final[Mapping[str, Target]] = {
    "vllm": Target("vllm", "script"),
    "sglang": Target("sglang", "script"),
    "llama.cpp": Target("llama_cpp", "script"),
    "ollama": Target("ollama", "modelfile"),
    "mlx": Target("mlx", "script"),
    "mistralrs": Target("mistralrs", "script"),
    "compose": Target("", "compose"),
    "k8s": Target("", "kubernetes"),
    "json": Target("", "document"),
}
"""All targets. A new one is a module, a row here and its rows in ``data/``."""

INSIDE: Final = {"vllm": "vllm", "llama.cpp": "llama.cpp", "mlx": "mlx"}
"""The program that a container or a document is of, by the engine of the plan, where none is named."""


def export(plan: Plan, target: str, *, force: bool = False) -> str:
    """Return the command or file that runs ``plan``.

    ``export(plan, "vllm")``, ``export(plan, "k8s:sglang")``.

    Args:
        plan: the plan.
        target: one of ``TARGETS``; ``compose``, ``k8s`` and ``json`` take the program inside after a colon.
        force: write it although the plan does not fit.

    Raises:
        UnknownOptionError: there is no such target.
        UsageError: the target cannot run this plan; the sentence says what to do instead.
        DoesNotFitError: the plan does not fit its devices.
    """
    return exported(plan, target, force=force).text


def exported(plan: Plan, target: str, *, force: bool = False) -> Exported:
    """Return as ``export``, with what could not be expressed apart.

    Raises:
        As ``export``.
    """
    outer, inner = _parts(target)
    _check_fits(plan, force=force)
    builder = TARGETS[inner].builder if inner else TARGETS[outer].builder
    if not builder:
        builder = TARGETS[_inside(plan, outer)].builder
    built: Recipe = import_module(f"{__name__}.{builder}").build(plan)
    recipe = replace(built, notes=tuple(dict.fromkeys((*built.notes, *plan.memory.warnings))))
    written: Exported = import_module(f"{__name__}.{TARGETS[outer].writer}").write(recipe, plan)
    return written


def planned_as(target: str) -> str | None:
    """Return the engine that a plan for ``target`` has to be of; ``None``: by the model's format.

    Raises:
        UnknownOptionError: there is no such target.
    """
    outer, inner = _parts(target)
    name = inner or outer
    if not TARGETS[name].builder:
        return None
    from hwledger.planner.export.target import program  # noqa: PLC0415 - start-up time

    engines = program(name).engines
    return engines[0] if len(engines) == 1 else None


def _parts(target: str) -> tuple[str, str]:
    """Return the target, and the one inside where it is named.

    Raises:
        UnknownOptionError: there is no such target.
        UsageError: the target holds no other.
    """
    names = {_plain(name): name for name in TARGETS}
    outer, colon, inner = target.partition(":")
    for name in (outer, *([inner] if colon else [])):
        if _plain(name) not in names:
            raise UnknownOptionError("export target", name, tuple(TARGETS))
    found = names[_plain(outer)]
    if not colon:
        return found, ""
    inside = names[_plain(inner)]
    if TARGETS[found].builder or not TARGETS[inside].builder:
        raise UsageError(
            f"{target!r} is no export target: compose, k8s and json take a program, like k8s:sglang"
        )
    return found, inside


def _inside(plan: Plan, outer: str) -> str:
    if plan.engine not in INSIDE:
        raise UsageError(f"{plan.engine} is a library and has no command to export: plan with --engine vllm")
    name = INSIDE[plan.engine]
    if outer != "json" and name == "mlx":
        raise UsageError("mlx-lm runs on Apple's system alone, which containers do not reach: --export mlx")
    return name


def _check_fits(plan: Plan, *, force: bool) -> None:
    if force or plan.fit is None or plan.fit.verdict is not Verdict.DOES_NOT_FIT:
        return
    raise DoesNotFitError(
        f"the plan does not fit: {plan.fit.missing} are missing; change it"
        " (the plan without --export says how), or write it all the same with --force"
    )


def _plain(name: str) -> str:
    return name.strip().lower().replace(".", "").replace("-", "").replace("_", "")
