"""A recipe for Ollama as a Modelfile; what a Modelfile cannot hold stands in its comments."""

import shlex

from hwledger.planner.export.ollama import quantised
from hwledger.planner.export.recipe import Exported, Recipe, Setting
from hwledger.planner.export.reference import ADAPTER
from hwledger.planner.export.script import comments, head
from hwledger.planner.plan import Plan


def write(recipe: Recipe, plan: Plan) -> Exported:
    """Return the Modelfile, and how server and model are started, in its comments.

    Raises:
        UsageError: Ollama does not pack weights as planned.
    """
    packed = quantised(plan)
    quantise = ("--quantize", packed) if packed else ()
    serve = " ".join([*(f"{name}={setting.value}" for name, setting in recipe.env.items()), "ollama serve"])
    create = shlex.join([*recipe.program, *quantise, "-f", "Modelfile"])
    run = shlex.join(["ollama", "run", recipe.program[-1]])
    lines = [
        *head(recipe, plan),
        *comments(f"Start the server with its variables: {serve}"),
        *comments(f"Make the model and run it: {create} && {run}"),
        f"FROM {recipe.model}",
        *(_line(setting) for setting in recipe.settings),
    ]
    server = f"the server has to be started with its variables, which no Modelfile holds: {serve}"
    more = (f"the model has to be made so: {create}",) if packed else ()
    return Exported("\n".join(lines) + "\n", (*recipe.notes, server, *more))


def _line(setting: Setting) -> str:
    if setting.option == ADAPTER:
        return f"ADAPTER {setting.value}"
    return f"PARAMETER {setting.option} {setting.value}"
