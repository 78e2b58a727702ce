"""MLX behind the port: mlx-lm in a sidecar, with the context, the steps and the model of the plan."""

import platform
import sys
from typing import Any, Final

from hwledger.errors import EngineError
from hwledger.planner.plan import Plan
from hwledger.runner.engine import Ability, Installation, Limits, NotInstalled
from hwledger.runner.logs import prompts_folder
from hwledger.runner.packages import package
from hwledger.runner.sidecar.running import FETCHING_S, Program, SidecarRunning, start
from hwledger.runner.sidecar.told import model_of

ENGINE: Final = "mlx"
TITLE: Final = "MLX"
INSTALL: Final = "pip install 'hwledger[mlx]'"
BACKEND: Final = "hwledger.runner.sidecar.mlx_backend:MlxBackend"
STEP: Final = 256
"""Tokens of a prompt that are taken in at once: a request that is given up ends with its step."""
ACCELERATED: Final = {"mlx-cuda": "CUDA", "mlx-cuda-12": "CUDA", "mlx-cuda-13": "CUDA"}


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
        model, notes = model_of(plan, "mlx", ENGINE, "convert it with mlx_lm.convert")
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


def _devices() -> tuple[str, ...] | None:
    """Return what MLX computes with; empty: the processor; ``None``: no back end is installed."""
    if sys.platform == "darwin":
        return ("Apple GPU, over Metal",) if platform.machine() == "arm64" else None
    found = tuple(sorted({device for name, device in ACCELERATED.items() if package(name)}))
    return found if found or package("mlx-cpu") else None


engine = Mlx()
