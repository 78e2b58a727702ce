"""MLX behind the port: mlx-lm in a sidecar, with the context, the steps and the model of the plan."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from hwledger.errors import EngineError, UsageError
from hwledger.planner.export.reference import Reference, opened
from hwledger.planner.export.target import draft_for
from hwledger.planner.plan import Plan
from hwledger.runner.engine import Ability, Installation, Limits, NotInstalled
from hwledger.runner.logs import prompts_folder
from hwledger.runner.sidecar.running import Program, SidecarRunning, start

ENGINE: Final = "mlx"
TITLE: Final = "MLX"
INSTALL: Final = "pip install 'hwledger[mlx]'"
BACKEND: Final = "hwledger.runner.sidecar.mlx_backend:MlxBackend"
STEP: Final = 256
"""Tokens of a prompt that are taken in at once: a request that is given up ends with its step."""
FETCHING_S: Final = 24 * 3600.0
"""What a model may take that mlx-lm fetches before it loads it."""
ACCELERATED: Final = {"mlx-cuda": "CUDA", "mlx-cuda-12": "CUDA", "mlx-cuda-13": "CUDA"}
REFUSED: Final = {
    "max_kv_size": "a cache that forgets", "kv_bits": "a cache that is quantised while it fills",
    "num_concurrent": "several requests at once",
}  # fmt: skip


class Mlx:
    """Satisfies ``Engine``."""

    name = ENGINE
    title = TITLE
    abilities = frozenset(
        {Ability.CHAT, Ability.CANCEL, Ability.PROGRESS, Ability.TIMINGS, Ability.MEMORY, Ability.TOKENIZE,
         Ability.KEEP}
    )  # fmt: skip
    formats = frozenset({"safetensors", "mlx"})
    install = INSTALL

    def find(self) -> Installation | NotInstalled:
        """Return mlx-lm and the back end of MLX that is installed beside it; neither is imported."""
        lm, core = package("mlx-lm"), package("mlx")
        if not lm or not core:
            missing = "mlx-lm" if not lm else "mlx"
            return NotInstalled(ENGINE, f"the package {missing} is not installed", INSTALL)
        devices = _devices()
        if devices is None:
            return NotInstalled(
                ENGINE, f"mlx {core} is here without a back end: mlx[cpu] brings one", INSTALL
            )
        return Installation(ENGINE, lm, f"mlx-lm {lm} on mlx {core}", devices)

    def planned_as(self, model_format: str) -> str:
        """Return the profile that plans it."""
        del model_format
        return ENGINE

    def settings(self, *, on_host: bool) -> tuple[str, ...]:
        """Return that a prompt is taken in by short steps."""
        del on_host
        return (f"prefill_step_size={STEP}",)

    def start(self, plan: Plan, limits: Limits | None = None) -> SidecarRunning:
        """Start a sidecar and wait until it holds the model.

        Raises:
            UsageError: MLX cannot run the plan.
            EngineError: it is not installed, or does not start.
        """
        limits = limits or Limits()
        model, notes = _asked(plan)
        found = self.find()
        if isinstance(found, NotInstalled):
            raise EngineError(f"MLX is not installed here ({found.why}); install it with: {INSTALL}")
        told: dict[str, Any] = {
            "model": model.text, "revision": model.revision or None, "context": plan.memory.context_tokens,
            "prefill_step": int(str(plan.request.options.get("prefill_step_size") or STEP)),
        }  # fmt: skip
        if limits.kept_bytes:
            told["cache"] = {"folder": str(prompts_folder()), "budget_bytes": limits.kept_bytes}
        return start(
            Program(engine=ENGINE, title=TITLE, backend=BACKEND, load=told, model=plan.spec.id, notes=notes,
                    fetches_s=0.0 if model.local else FETCHING_S),
            limits,
        )  # fmt: skip


def _asked(plan: Plan) -> tuple[Reference, tuple[str, ...]]:
    """Return the model as mlx-lm is told it, and what that could not be told.

    Raises:
        UsageError: the plan is of another engine, or of what is not run here.
    """
    draft = draft_for(plan, "mlx")
    if plan.request.weights or plan.request.options.get("quantization"):
        raise UsageError(
            "MLX runs a model as it is stored here: convert it with mlx_lm.convert and plan that folder"
        )
    if plan.spec.adapter is not None:
        raise UsageError("MLX runs a model without adapters here: merge it into its base and plan that")
    for option, what in REFUSED.items():
        if plan.request.options.get(option) not in {None, 1, "1"}:
            raise UsageError(f"{what} ({option}) is planned, and is not run here: plan without it")
    if plan.memory.concurrency > 1:
        raise UsageError("MLX answers one request at a time here: plan with --concurrency 1")
    return opened(draft), tuple(draft.notes)


def _devices() -> tuple[str, ...] | None:
    """Return what MLX computes with; empty: the processor; ``None``: no back end is installed."""
    if sys.platform == "darwin":
        return ("Apple GPU, over Metal",) if platform.machine() == "arm64" else None
    found = tuple(sorted({device for name, device in ACCELERATED.items() if package(name)}))
    return found if found or package("mlx-cpu") else None


def package(name: str) -> str:
    """Return the version of a package; empty where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


engine = Mlx()
