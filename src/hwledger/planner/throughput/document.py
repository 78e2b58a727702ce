"""The ``throughput`` part of ``hwledger.plan/1``."""

from typing import Any

from hwledger.planner.throughput.figure import FIGURES, Figure, Throughput


def throughput_document(throughput: Throughput) -> dict[str, Any]:
    """Return a speed estimate for JSON; a figure that is not known is null."""
    traffic = throughput.traffic
    return {
        **{name: _figure(getattr(throughput, name)) for name in FIGURES},
        "traffic": {
            "prompt_tokens": traffic.prompt_tokens,
            "cached_tokens": traffic.cached_tokens,
            "output_tokens": traffic.output_tokens,
            "concurrency": traffic.concurrency,
            "requests_per_second": traffic.requests_per_second,
        },
        "limits": dict(throughput.limits),
        "warnings": list(throughput.warnings),
        "unknown": list(throughput.unknown),
        "corrected": dict(throughput.corrected),
    }


def _figure(figure: Figure | None) -> dict[str, Any] | None:
    if figure is None:
        return None
    return {
        "value": figure.value,
        "interval": [figure.low, figure.high],
        "basis": figure.basis.value,
        "source": figure.source,
    }
