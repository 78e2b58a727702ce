"""The JSON of what-if, grids, fits and comparisons; their schemas lie in ``planner/schemas``."""

from collections.abc import Sequence
from typing import Any

from hwledger.planner.solve.document import measured_document
from hwledger.planner.solve.grid import Axis, Grid, grid_notes, share_of
from hwledger.planner.solve.question import Measured
from hwledger.planner.solve.ranking import Fitted
from hwledger.planner.solve.whatif import Effect

GRID_SCHEMA = "hwledger.grid/1"
FIT_SCHEMA = "hwledger.fit/1"
COMPARE_SCHEMA = "hwledger.compare/1"


def effects_document(effects: Sequence[Effect]) -> dict[str, Any]:
    """Return ``what_if`` of ``hwledger.plan/1``: the plan as it is first, then each change."""
    return {
        "what_if": [
            {
                "name": one.name, **_planned(one.measured), "quality": list(one.quality),
                "notes": list(one.notes),
            }
            for one in effects
        ]
    }  # fmt: skip


def _planned(measured: Measured) -> dict[str, Any]:
    return {**measured_document(measured), "holds": measured.holds, "refusal": measured.refusal or None}


def grid_document(grid: Grid, *, model: str, engine: str, version: str) -> dict[str, Any]:
    """Return a grid as ``hwledger.grid/1``; cells in rows."""
    return {
        "schema": GRID_SCHEMA,
        "model": model,
        "engine": {"name": engine, "version": version},
        "rows": _axis(grid.rows),
        "columns": _axis(grid.columns),
        "cells": [[_cell(one) for one in row] for row in grid.cells],
        "notes": list(grid_notes(grid)),
    }


def _axis(axis: Axis) -> dict[str, Any]:
    return {"name": axis.name, "values": list(axis.values), "labels": list(axis.labels)}


def _cell(measured: Measured) -> dict[str, Any]:
    plan = measured.plan
    speed = measured.throughput
    return {
        "total_bytes": plan.total_bytes if plan else None,
        "share_of_fullest": share_of(measured),
        "verdict": plan.fit.verdict.value if plan and plan.fit else None,
        "tokens_per_second": measured.users_per_second,
        "ttft_seconds": speed.ttft_seconds.value if speed and speed.ttft_seconds else None,
        "refusal": measured.refusal or None,
        "misses": [one.limit for one in measured.misses],
    }


def fit_document(fitted: Sequence[Fitted], *, devices: str, host_bytes: int | None) -> dict[str, Any]:
    """Return what devices can run as ``hwledger.fit/1``, in order."""
    return {
        "schema": FIT_SCHEMA, "devices": devices, "host_bytes": host_bytes,
        "models": [fitted_document(one) for one in fitted],
    }  # fmt: skip


def fitted_document(one: Fitted) -> dict[str, Any]:
    """Return one model of a fit."""
    return {
        "model": one.model, "parameters": one.parameters, "active_parameters": one.active,
        "engine": one.engine, "mode": one.mode.value, "weights": one.weights,
        "plan": _planned(one.measured) if one.measured else None, "problem": one.problem or None,
    }  # fmt: skip


def compare_document(named: Sequence[tuple[str, Measured, Sequence[str]]]) -> dict[str, Any]:
    """Return several plans side by side as ``hwledger.compare/1``: name, plan and quality of each."""
    return {
        "schema": COMPARE_SCHEMA,
        "compared": [
            {"name": name, **_planned(one), "quality": list(quality)} for name, one, quality in named
        ],
    }
