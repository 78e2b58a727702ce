"""Real engines in sidecars on the real numbers of a small model: alike, as planned, cancelled and kept."""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from hwledger.runner.cache.store import BlockStore
from hwledger.runner.engine import (
    Ask,
    Done,
    Ending,
    NotInstalled,
    Piece,
    Progress,
    Running,
    Timings,
    Tokenizes,
    engine,
)
from hwledger.runner.logs import prompts_folder
from hwledger.runner.sidecar.running import SidecarRunning
from hwledger.shipped import shipped_text
from hwledger.telemetry.reading import bytes_of
from support.asking import PROMPTS, answer, running, settled
from support.spoiling import SPOILS
from support.unpacked import Unpacked

pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("FR-RUN-MLX")]
WHOLE = bool(os.environ.get("HWLEDGER_WHOLE"))
"""Whether to compare as much as the documentation says; a few tokens otherwise."""
LONG = "The quick brown fox jumps over the lazy dog and "
HELD = 1 << 30
PER_TOKEN = 2 * 2 * 3 * 64 * 4
"""Bytes of one token: keys and values of two layers with three heads of 64 numbers in float32."""


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch, blas: str) -> None:
    """Keep engines from spinning on every core of a busy machine, and MLX from the slowest of all BLAS."""
    if blas:
        monkeypatch.setenv("LD_PRELOAD", blas)
    for name in ("LLAMA_ARG_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")


def needs_engine(name: str) -> None:
    """Skip where an engine is absent."""
    found = engine(name).find()
    if isinstance(found, NotInstalled):
        pytest.skip(f"{name}: {found.why}; make engines")


@pytest.mark.requirement("FR-RUN-MISTRALRS")
def test_engines_answer_alike(smollm_f32: Unpacked) -> None:
    """On the same numbers in float32 the likeliest tokens of all engines are the same."""
    for name in ("llama.cpp", "mlx", "mistral.rs"):
        needs_engine(name)
    prompts, tokens = (PROMPTS, 48) if WHOLE else (PROMPTS[:2], 8)
    said = {}
    for name, model, kv in (
        ("llama.cpp", smollm_f32.gguf, "f32"), ("mlx", smollm_f32.folder, None),
        ("mistral.rs", smollm_f32.folder, None),
    ):  # fmt: skip
        with running(name, model, kv=kv) as asked:
            assert isinstance(asked, Tokenizes)
            said[name] = [(asked.tokenize(prompt), asked.tokenize(prompt + answer(asked, prompt, tokens)[0]))
                          for prompt in prompts]  # fmt: skip
    assert said["mlx"] == said["mistral.rs"] == said["llama.cpp"]


def test_what_it_tells_is_as_planned_and_keeps_to_the_schema(shallow_f32: Unpacked) -> None:
    """What MLX holds for a context is the plan's cache to the byte; what it says is what the schema says."""
    needs_engine("mlx")
    schema = json.loads(shipped_text("hwledger.runner.sidecar", "schemas/sidecar-1.json"))
    with running("mlx", shallow_f32.folder, 257, HELD) as asked:
        assert kv_bytes(asked) == 512 * PER_TOKEN
        answer(asked, PROMPTS[0], 4)
        assert kv_bytes(asked) == 512 * PER_TOKEN
        assert isinstance(asked, SidecarRunning)
        for method in ("memory", "cache_stats", "health"):
            told = asked._client.call(method, limit_s=60)
            Draft202012Validator(schema["$defs"][method]["properties"]["result"]).validate(told)


def kv_bytes(asked: Running) -> int | None:
    """Return the cache that an engine reports."""
    (model,) = asked.memory().models
    return bytes_of(model["kv_cache_bytes"])


def test_a_prompt_that_is_given_up_ends_with_its_step(shallow_f32: Unpacked) -> None:
    """A long prompt is cancelled while it is taken in; the next one is answered as if nothing had been."""
    needs_engine("mlx")
    with running("mlx", shallow_f32.folder, 2048) as asked:
        before, _ = answer(asked, PROMPTS[0], 6)
        seen = []
        for event in asked.generate(Ask(prompt=LONG * 150, max_tokens=5)):
            seen.append(event)
            if isinstance(event, Progress) and event.done:
                asked.cancel()
        done = seen[-1]
        assert isinstance(done, Done)
        assert done.ending is Ending.CANCELLED
        assert not [event for event in seen if isinstance(event, Piece)]
        assert answer(asked, PROMPTS[0], 6)[0] == before
        assert kv_bytes(asked) == 2048 * PER_TOKEN


@pytest.mark.requirement("FR-RUN-CACHE")
@pytest.mark.parametrize(("name", "blocks"), [("mlx", 2), ("llama.cpp", 1)])
def test_what_was_computed_is_found_by_the_next_process(
    shallow_f32: Unpacked, name: str, blocks: int
) -> None:
    """The beginning of a prompt comes from the disk, for another end too, and the tokens are the same."""
    needs_engine(name)
    model = shallow_f32.gguf if name == "llama.cpp" else shallow_f32.folder
    prompts = (LONG * 60, LONG * 52 + "then")
    with running(name, model, 1024) as asked:
        cold = [answer_alone(asked, prompt)[0] for prompt in prompts]
    with running(name, model, 1024, HELD) as asked:
        assert answer(asked, prompts[0], 8)[1].cached_tokens == 0
    assert BlockStore(prompts_folder()).stats().blocks == blocks
    with running(name, model, 1024, HELD) as asked:
        for prompt, wanted in zip(prompts, cold, strict=True):
            text, timings = answer_alone(asked, prompt)
            assert text == wanted
            assert timings.cached_tokens >= 512
            assert isinstance(asked, Tokenizes)
            assert timings.cached_tokens + timings.prompt_tokens == len(asked.tokenize(prompt))
    assert not list(prompts_folder().glob("slots-*"))


def answer_alone(asked: Running, prompt: str) -> tuple[str, Timings]:
    """Return an answer after another prompt, so that nothing of this one is in memory."""
    answer(asked, "Otherwise", 1)
    return answer(asked, prompt, 8)


@pytest.mark.requirement("FR-RUN-CACHE")
def test_other_weights_find_nothing(shallow_f32: Unpacked, tmp_path: Path) -> None:
    """A file of the same name and shape with one other number shares no cache: llama.cpp would take it."""
    needs_engine("llama.cpp")
    model = tmp_path / "model.gguf"
    shutil.copyfile(shallow_f32.gguf, model)
    with running("llama.cpp", model, 1024, HELD) as asked:
        answer(asked, LONG * 60, 1)
    with model.open("r+b") as file:
        file.seek(-4096, os.SEEK_END)
        file.write(bytes(4))
    with running("llama.cpp", model, 1024, HELD) as asked:
        assert answer(asked, LONG * 60, 1)[1].cached_tokens == 0


@pytest.mark.requirement("FR-RUN-CACHE")
@pytest.mark.parametrize("name", ["mlx", "llama.cpp"])
def test_a_cache_that_is_spoiled_changes_no_token(shallow_f32: Unpacked, name: str) -> None:
    """Whatever is done to entries and index, the engine lives and answers as without them."""
    needs_engine(name)
    model = shallow_f32.gguf if name == "llama.cpp" else shallow_f32.folder
    prompts = [LONG * 30, "Another beginning. " + LONG * 30]
    chance, store = random.Random(name), BlockStore(prompts_folder())
    with running(name, model, 512, HELD) as asked:
        cold = [answer(asked, prompt, 4)[0] for prompt in prompts]
        for spoil in SPOILS.values():
            settled(asked)
            spoil(store, chance)
            assert [answer(asked, prompt, 4)[0] for prompt in prompts] == cold


def test_the_command_line_runs_it(shallow_f32: Unpacked) -> None:
    """``run --engine mlx`` plans, answers and reconciles; ``auto`` finds it; the cache is told."""
    needs_engine("mlx")
    for chosen in ("mlx", "auto"):
        ran = command("run", str(shallow_f32.folder), LONG * 60, "--engine", chosen, "--context", "1024",
                      "--max-tokens", "3", "--json", "--prompt-cache", "1GiB")  # fmt: skip
        events = [json.loads(line) for line in ran.splitlines()]
        assert [events[0]["engine"], events[1]["engine"]] == ["mlx", "mlx"]
        terms = {term["name"]: term for term in events[-1]["reconciliation"]["terms"]}
        assert terms["weights"]["difference"] == terms["kv_cache"]["difference"] == 0
    assert events[-2]["timings"]["cached_tokens"] == 512
    told = json.loads(command("cache", "stats", "--json"))
    assert (told["blocks"], told["hits"]) == (2, 2)
    assert told["written_bytes"] == told["bytes"] > 0
    assert json.loads(command("cache", "verify", "--json"))["removed"] == 0
    assert "removed" in command("cache", "clear")
    assert json.loads(command("cache", "stats", "--json"))["blocks"] == 0


def command(*words: str) -> str:
    """Return what a command prints."""
    ran = subprocess.run([sys.executable, "-m", "hwledger", *words], capture_output=True, text=True,
                         stdin=subprocess.DEVNULL, timeout=300, check=False)  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
