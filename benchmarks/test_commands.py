"""How fast pasted text is read; ``make benchmark``. Figures are compared as ratios within one run."""

import contextlib
import time

import pytest

from hwledger.errors import UsageError
from hwledger.library.commands import is_command, read_command
from hwledger.library.commands.reading import LONGEST

PIECES = (
    "'",
    '"',
    "\\",
    " ",
    "\n",
    "&amp;",
    "${",
    "$(",
    "[",
    "(",
    "A=$A$A\n",
    "bash -c '",
    "image: x\n",
    "args: [\n",
    "- |\n",
    "env:\n- name: A\n",
    "A = 1\n",
    "LLM(model=",
    "wget https://x/y.gguf ",
    "-ot a*=CPU ",
    "C:\\",
    ">>> ",
)


def seconds(text: str) -> float:
    """Return the least of three times of reading ``text``."""
    times: list[float] = []
    for _ in range(3):
        started = time.perf_counter()
        is_command(text)
        with contextlib.suppress(UsageError):
            read_command(text)
        times.append(time.perf_counter() - started)
    return min(times)


@pytest.mark.parametrize("piece", PIECES, ids=repr)
def test_time_grows_with_the_length(piece: str) -> None:
    """Four times the text takes at most eight times as long, above a floor for what does not grow."""
    whole = "vllm serve a/b " + (piece * LONGEST)[: LONGEST - 20]
    seconds(whole[:100])
    assert seconds(whole) < 8 * seconds(whole[: LONGEST // 4]) + 0.05
