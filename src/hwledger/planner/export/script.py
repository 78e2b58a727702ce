"""A recipe as a shell script: what it is for in comments, then the command, one setting a line."""

import shlex
from collections.abc import Iterator

from hwledger.planner.export import figures
from hwledger.planner.export.recipe import Exported, Recipe, Step
from hwledger.planner.export.words import one_line
from hwledger.planner.plan import Plan


def write(recipe: Recipe, plan: Plan) -> Exported:
    """Return the script; a POSIX shell runs it as it is."""
    lines = [
        *head(recipe, plan),
        *(line for step in recipe.before for line in _before(step)),
        *_command(recipe),
    ]
    return Exported("\n".join(lines) + "\n", recipe.notes)


def head(recipe: Recipe, plan: Plan) -> Iterator[str]:
    """Yield the comments: what runs, what it takes, why each setting is what it is, what is not said."""
    yield from comments(title(recipe, plan), figures.need(plan), figures.room(plan))
    settings = [*recipe.settings, *recipe.env.values()]
    said = [" ".join(setting.words) or f"{setting.option} {setting.value}" for setting in settings]
    width = min(44, max(map(len, said), default=0))
    for words, setting in zip(said, settings, strict=True):
        yield f"#   {one_line(words):<{width}}  {one_line(setting.why)}"
    yield from comments(*(f"Note: {note}" for note in recipe.notes))


def title(recipe: Recipe, plan: Plan) -> str:
    """Return the first line: model, engine and the rules that it was planned by."""
    ran = f"{recipe.title} {recipe.version}".strip()
    same = plan.request.version == recipe.version
    rules = "" if same else f" (planned by the rules of {plan.engine} {plan.request.version})"
    return f"{plan.spec.id} on {ran}{rules}"


def comments(*sentences: str) -> Iterator[str]:
    """Yield sentences as comment lines."""
    for sentence in sentences:
        yield f"# {one_line(sentence)}"


def _before(step: Step) -> Iterator[str]:
    yield from comments(step.why)
    command = shlex.join(step.words)
    yield f"test -e {shlex.quote(step.unless)} || {command}" if step.unless else command


def _command(recipe: Recipe) -> Iterator[str]:
    env = [f"{name}={shlex.quote(setting.value)}" for name, setting in recipe.env.items()]
    parts = [
        " ".join([*env, shlex.join(recipe.program)]),
        *(shlex.join(setting.words) for setting in recipe.settings if setting.words),
    ]
    yield " \\\n  ".join(parts)
