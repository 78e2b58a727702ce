"""What every export target is, and the facts of the programs behind them (``data/programs.csv``)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from hwledger.errors import UnknownOptionError, UsageError
from hwledger.planner.export.recipe import Draft, Recipe, Setting, Step
from hwledger.planner.export.spelling import rows
from hwledger.planner.plan import Plan

HOST: Final = "127.0.0.1"
"""Where a program listens unless it runs in a container: reachable from this machine only."""


@dataclass(frozen=True, slots=True)
class Program:
    """One program that runs models.

    Attributes:
        target: its name as an export target.
        title: its name for people.
        engines: engine profiles whose plans it can be told.
        version: version that its flags are known for; empty: that of the plan.
        port: port that it answers on unless it is told another.
        health: path that answers once the model is loaded.
    """

    target: str
    title: str
    engines: tuple[str, ...]
    version: str
    port: int
    health: str


@cache
def program(target: str) -> Program:
    """Return the facts of a program.

    Raises:
        UnknownOptionError: there is no such program.
    """
    found = {row["target"]: row for row in rows("programs")}
    if target not in found:
        raise UnknownOptionError("program", target, tuple(found))
    row = found[target]
    return Program(target, row["title"], tuple(row["engines"].split()), row["version"], int(row["port"]),
                   row["health"])  # fmt: skip


def draft_for(plan: Plan, target: str) -> Draft:
    """Return an empty draft of a recipe for ``plan``.

    Raises:
        UsageError: the plan is one of another engine.
    """
    facts = program(target)
    if plan.engine not in facts.engines:
        wanted = " or ".join(facts.engines)
        raise UsageError(
            f"the plan is one of {plan.engine}, and {facts.title} is planned as {wanted}: add"
            f" --engine {wanted}"
        )
    own = facts.version or (plan.request.version if plan.engine == target else "")
    return Draft(plan, target, facts.title, own)


def finish(  # noqa: PLR0913 - the parts of a recipe
    draft: Draft,
    words: tuple[str, ...],
    model: str,
    *,
    local: str = "",
    env: Mapping[str, Setting] | None = None,
    before: tuple[Step, ...] = (),
) -> Recipe:
    """Return the recipe of a draft, with where it listens."""
    facts = program(draft.target)
    draft.put("host", HOST, "reachable from this machine alone; 0.0.0.0 opens it to the network")
    draft.put("port", facts.port, "the program's usual port")
    return Recipe(
        target=draft.target, title=draft.title, version=draft.version, program=words, model=model,
        local=local, settings=tuple(draft.settings), env=env or {}, before=before, port=facts.port,
        health=facts.health, notes=tuple(draft.notes),
    )  # fmt: skip
