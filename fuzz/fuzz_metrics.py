"""Coverage-guided fuzzing of the reader of metrics; needs atheris: ``python fuzz/fuzz_metrics.py CORPUS``."""

import sys

import atheris

with atheris.instrument_imports():
    from hwledger.library.serving.metrics import labels_of, read_page
    from hwledger.telemetry.engines.page import engine_of, read_engine_page
    from hwledger.telemetry.reading import Gauge


def one(data: bytes) -> None:
    """Read one input; anything that is raised is a finding."""
    text = data.decode("utf-8", "replace")
    read_page(text)
    labels_of(text, "vllm:cache_config_info")
    read_engine_page(text, engine_of(text) or "vllm", Gauge("fuzz"))


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
