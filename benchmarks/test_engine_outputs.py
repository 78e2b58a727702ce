"""How fast outputs of engines are read; ``make benchmark``. Figures are compared as ratios within one run."""

import time

import pytest

from hwledger.library.serving.metrics import read_page
from hwledger.telemetry.engines.formats import FORMATS

PIECES = (
    'a{b="', 'a{b="c",', "a 1 ", 'a{b="\\', "{", "[", '"', "'", "/*", "//", ",", ", ", "a:", "vllm:x",
    "sglang:x{", "load_tensors: CUDA0 ", "x: CUDA0 model buffer size =", "load_model: loading model '",
    "K (f16): ", "- A (", "memory breakdown ", "x: - A |1", "_print: | - ",
    "llama_model_loader: loaded meta data with ", " from ", "model=", "(Worker",
    "Maximum concurrency for 1", "# GPU blocks: ", 'msg="kv cache" device=', "msg=offload ", "a=",
    "memory.required.full=", "Initializing a V1 LLM engine (", "build_info: ", "print_info: file size = ",
    "\n", "\n- ", "llama_context: n_ctx = ",
)  # fmt: skip
SMALL, LARGE = 10_000, 40_000
MOST_RATIO = 8
"""Four times the text in less than eight times the time, above a floor for what does not grow."""


def seconds(text: str) -> float:
    """Return the least of two times of reading a text with every reader."""
    times: list[float] = []
    for number in range(2):
        fresh = text + " " * number  # what was parsed before is kept
        start = time.process_time()
        for each in FORMATS:
            each.recognises(fresh)
            each.read(fresh)
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.parametrize("piece", PIECES)
def test_time_grows_with_the_length(piece: str) -> None:
    """Nothing that is repeated, with line ends or without, takes more than in proportion."""
    for unit in (piece, f"{piece}\n"):
        small, large = (seconds(unit * (size // len(unit))) for size in (SMALL, LARGE))
        assert large < MOST_RATIO * small + 0.05, (unit, small, large)


def test_a_page_as_large_as_an_engines(benchmark) -> None:  # noqa: ANN001 - of pytest-benchmark
    """Three thousand lines of histograms, of which none is wanted."""
    page = "".join(f'vllm:x_bucket{{engine="0",le="{n}",model_name="org/m"}} {n}.0\n' for n in range(3000))
    benchmark(read_page, page, frozenset({"vllm:y"}))
