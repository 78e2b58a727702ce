"""A recipe as JSON: ``hwledger.recipe/1``, for other programs."""

import json
from dataclasses import asdict
from typing import Any, Final

from hwledger.planner.export.recipe import Exported, Recipe, Setting
from hwledger.planner.plan import Plan

SCHEMA: Final = "hwledger.recipe/1"


def write(recipe: Recipe, plan: Plan) -> Exported:
    """Return the document; its schema is ``planner/schemas/recipe-1.json``."""
    return Exported(
        json.dumps(recipe_document(recipe, plan), indent=2, ensure_ascii=False) + "\n", recipe.notes
    )


def recipe_document(recipe: Recipe, plan: Plan) -> dict[str, Any]:
    """Return a recipe as ``hwledger.recipe/1``; all sizes in bytes."""
    spec, fit = plan.spec, plan.fit
    return {
        "schema": SCHEMA,
        "target": recipe.target,
        "program": {"name": recipe.title, "version": recipe.version or None},
        "planned_as": {"engine": plan.engine, "version": plan.request.version},
        "model": {
            "id": spec.id,
            "reference": recipe.model,
            "revision": spec.revision or None,
            "origin": None if spec.origin is None else asdict(spec.origin),
        },
        "command": list(recipe.argv),
        "environment": {name: setting.value for name, setting in recipe.env.items()},
        "before": [list(step.words) for step in recipe.before],
        "settings": [_setting(setting) for setting in (*recipe.settings, *recipe.env.values())],
        "port": recipe.port,
        "health": recipe.health,
        "memory": {
            "total_bytes": plan.total_bytes,
            "host_bytes": plan.host_bytes,
            "devices": [
                {"name": d.name, "total_bytes": d.total_bytes, "usable_bytes": d.usable_bytes}
                for d in plan.devices
            ],
        },
        "verdict": None if fit is None else fit.verdict.value,
        "headroom_bytes": None if fit is None else fit.headroom_bytes,
        "notes": list(recipe.notes),
    }


def _setting(setting: Setting) -> dict[str, Any]:
    return {
        "option": setting.option,
        "value": setting.value,
        "words": list(setting.words),
        "why": setting.why,
    }
