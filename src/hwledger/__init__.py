"""hwledger: will this model run on this hardware, and was the answer right?

>>> import hwledger
>>> plan = hwledger.plan("Qwen/Qwen3-32B", engine="vllm", context=32768, device="2x H100 SXM")
>>> plan.fit.verdict
<Verdict.FITS: 'fits'>
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwledger.app import open_model, plan
    from hwledger.calls import compare, fit, solve, speed
    from hwledger.errors import HwledgerError
    from hwledger.model.spec import ModelSpec
    from hwledger.planner.export import export
    from hwledger.planner.plan import Plan
    from hwledger.planner.solve.limits import Limits
    from hwledger.planner.throughput import Throughput
    from hwledger.telemetry.probing import probe
    from hwledger.telemetry.snapshot import Snapshot

__version__ = "0.1.0"
__all__ = [
    "HwledgerError", "Limits", "ModelSpec", "Plan", "Snapshot", "Throughput", "__version__", "compare",
    "export", "fit", "open_model", "plan", "probe", "solve", "speed",
]  # fmt: skip

_HOMES = {
    "open_model": "hwledger.app",
    "plan": "hwledger.app",
    "probe": "hwledger.telemetry.probing",
    "compare": "hwledger.calls",
    "fit": "hwledger.calls",
    "solve": "hwledger.calls",
    "speed": "hwledger.calls",
    "export": "hwledger.planner.export",
    "HwledgerError": "hwledger.errors",
    "ModelSpec": "hwledger.model.spec",
    "Plan": "hwledger.planner.plan",
    "Snapshot": "hwledger.telemetry.snapshot",
    "Limits": "hwledger.planner.solve.limits",
    "Throughput": "hwledger.planner.throughput",
}


def __getattr__(name: str) -> Any:
    """Load the public names when they are first used, so that ``import hwledger`` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'hwledger' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - start-up time

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
