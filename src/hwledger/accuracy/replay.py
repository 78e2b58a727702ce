"""Replaying the measurements in ``data/``."""

import csv
from collections.abc import Callable, Iterable, Iterator

from hwledger.accuracy.llama_cpp import replay_contexts, replay_logs
from hwledger.accuracy.parameters import replay_parameters
from hwledger.accuracy.result import Result
from hwledger.accuracy.serving import replay_serving
from hwledger.accuracy.speed.replay import replay_speeds
from hwledger.accuracy.vllm import replay_vllm
from hwledger.shipped import shipped_text

Replay = Callable[[Iterable[dict[str, str]]], Iterator[Result]]
REPLAYS: tuple[tuple[str, Replay], ...] = (
    ("parameters.csv", replay_parameters),
    ("vllm.csv", replay_vllm),
    ("llama_cpp_contexts.csv", replay_contexts),
    ("llama_cpp_logs.csv", replay_logs),
    ("serving.csv", replay_serving),
    ("speed_held_out.csv", replay_speeds),
)


def replay(engines: Iterable[str] = ()) -> Iterator[Result]:
    """Yield a result for every measurement that ships, of all engines or the named ones."""
    wanted = set(engines)
    for name, function in REPLAYS:
        for result in function(rows(name)):
            if not wanted or result.engine in wanted:
                yield result


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of one table of ``data/``; lines that start with ``#`` are notes."""
    text = shipped_text("hwledger.accuracy", f"data/{name}")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
