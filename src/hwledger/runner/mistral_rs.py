"""mistral.rs behind the port: its Python package in a sidecar, which has no server and tells no memory."""

import os
from typing import Any, Final

from hwledger.errors import EngineError
from hwledger.planner.plan import Plan
from hwledger.runner.engine import Ability, Installation, Limits, NotInstalled
from hwledger.runner.packages import package
from hwledger.runner.sidecar.running import FETCHING_S, Program, SidecarRunning, start
from hwledger.runner.sidecar.told import model_of

ENGINE: Final = "mistral.rs"
RULES: Final = "mlx"
"""Engine whose rules plan it: it has none of its own, and a request's cache grows as that of mlx-lm does."""
INSTALL: Final = "pip install 'hwledger[mistralrs]'"
BACKEND: Final = "hwledger.runner.sidecar.mistral_backend:MistralBackend"
BUILDS: Final = {
    "mistralrs": (), "mistralrs-mkl": (), "mistralrs-accelerate": (),
    "mistralrs-metal": ("Apple GPU, over Metal",), "mistralrs-cuda": ("CUDA",),
}  # fmt: skip
"""Its packages, and what each computes with."""
KV_IN_F32: Final = "MISTRALRS_CPU_KV_F32"
"""Its cache on a processor is in float16 unless this is set (mistral.rs 0.9.5 says so when it loads)."""


class MistralRs:
    """Satisfies ``Engine``."""

    name = ENGINE
    title = ENGINE
    abilities = frozenset({Ability.CHAT, Ability.CANCEL, Ability.TIMINGS, Ability.TOKENIZE})
    formats = frozenset({"safetensors"})
    install = INSTALL

    def find(self) -> Installation | NotInstalled:
        """Return the package that is installed; it is not imported."""
        for name, devices in reversed(BUILDS.items()):
            if found := package(name):
                return Installation(ENGINE, found, f"{name} {found}", tuple(devices))
        return NotInstalled(ENGINE, "the package mistralrs is not installed", INSTALL)

    def planned_as(self, model_format: str) -> str:
        """Return the profile that plans it."""
        del model_format
        return RULES

    def settings(self, *, on_host: bool) -> tuple[str, ...]:
        """Return nothing: it takes a prompt in at once."""
        del on_host
        return ()

    def start(self, plan: Plan, limits: Limits | None = None) -> SidecarRunning:
        """Start a sidecar and wait until it holds the model.

        Raises:
            UsageError: mistral.rs cannot run the plan.
            EngineError: it is not installed, or does not start.
        """
        convert = "name a checkpoint that is stored as planned"
        model, notes = model_of(plan, "mistralrs", RULES, convert)
        found = self.find()
        if isinstance(found, NotInstalled):
            raise EngineError(f"mistral.rs is not installed here ({found.why}); install it with: {INSTALL}")
        told: dict[str, Any] = {
            "model": model.text, "revision": model.revision or None, "context": plan.memory.context_tokens,
            "number_type": plan.spec.number_type,
        }  # fmt: skip
        notes = (f"mistral.rs has no profile of its own: memory is planned by the rules of {RULES}", *notes)
        env = {**os.environ, **({KV_IN_F32: "1"} if plan.spec.number_type == "F32" else {})}
        program = Program(
            engine=ENGINE, title=ENGINE, backend=BACKEND, load=told, model=plan.spec.id, notes=notes, env=env,
            fetches_s=0.0 if model.local else FETCHING_S,
        )  # fmt: skip
        return start(program, limits or Limits())


engine = MistralRs()
