"""Running engines for tests: their answers, whole and token by token."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hwledger.app import plan
from hwledger.runner.engine import Ask, Done, Limits, Piece, Running, Timings, engine
from hwledger.runner.sidecar.running import SidecarRunning

PROMPTS = (
    "The capital of France is", "Once upon a time there was", "def fibonacci(n):",
    "Water boils at", "The three laws of robotics are",
)  # fmt: skip


@contextmanager
def running(
    name: str, model: Path, context: int = 256, kept_bytes: int = 0, kv: str | None = None
) -> Iterator[Running]:
    """Give an engine that holds a model."""
    found = engine(name)
    form = "gguf" if model.suffix == ".gguf" else "safetensors"
    made = plan(str(model), engine=found.planned_as(form), context=context, kv_cache=kv,
                options=found.settings(on_host=True))  # fmt: skip
    with found.start(made, Limits(ready_s=300, silent_s=300, kept_bytes=kept_bytes)) as started:
        yield started


def answer(asked: Running, prompt: str, tokens: int) -> tuple[str, Timings]:
    """Return the likeliest answer, and how long it took."""
    events = list(asked.generate(Ask(prompt=prompt, max_tokens=tokens, temperature=0.0)))
    done = events[-1]
    assert isinstance(done, Done)
    assert done.timings
    return "".join(event.text for event in events if isinstance(event, Piece)), done.timings


def settled(asked: Running) -> None:
    """Wait until everything that was to be kept is on the disk."""
    while isinstance(asked, SidecarRunning) and asked.cache_stats()["waiting"]:
        time.sleep(0.02)


def quiet() -> None:
    """Keep engines to one thread each."""
    os.environ.update(LLAMA_ARG_THREADS="1", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
