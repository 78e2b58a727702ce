"""Real engines in sidecars on the real numbers of a small model: alike, as planned, cancelled and kept."""

import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from hwledger.runner.cache.store import BlockStore
from hwledger.runner.engine import Ask, Done, Ending, NotInstalled, Piece, Progress, Tokenizes, engine
from hwledger.runner.logs import prompts_folder
from hwledger.runner.sidecar.running import SidecarRunning
from hwledger.shipped import shipped_text
from hwledger.telemetry.reading import bytes_of
from support.asking import PROMPTS, answer, running
from support.spoiling import SPOILS
from support.unpacked import Unpacked

pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("FR-RUN-MLX")]
WHOLE = bool(os.environ.get("HWLEDGER_WHOLE"))
"""Whether to compare as much as the documentation says; a few tokens otherwise."""
LONG = "The quick brown fox jumps over the lazy dog and "
HELD = 1 << 30


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep engines from spinning on every core of a busy machine."""
    for name in ("LLAMA_ARG_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")


def needs_engine(name: str) -> None:
    """Skip where an engine is absent."""
    found = engine(name).find()
    if isinstance(found, NotInstalled):
        pytest.skip(f"{name}: {found.why}; make engines")


def test_engines_answer_alike(smollm_f32: Unpacked) -> None:
    """On the same numbers in float32 the likeliest tokens of MLX are those of llama.cpp, and so are prompts."""
    needs_engine("mlx")
    needs_engine("llama.cpp")
    prompts, tokens = (PROMPTS, 48) if WHOLE else (PROMPTS[:2], 8)
    said: dict[str, list[tuple[list[int], list[int]]]] = {}
    for name, model, kv in (("llama.cpp", smollm_f32.gguf, "f32"), ("mlx", smollm_f32.folder, None)):
        with running(name, model, kv=kv) as asked:
            assert isinstance(asked, Tokenizes)
            said[name] = [(asked.tokenize(prompt), asked.tokenize(prompt + answer(asked, prompt, tokens)[0]))
                          for prompt in prompts]  # fmt: skip
    assert said["mlx"] == said["llama.cpp"]


def test_its_cache_is_as_planned_to_the_byte(shallow_f32: Unpacked) -> None:
    """What MLX holds for a context is the plan's KV cache exactly, before and after it is used."""
    needs_engine("mlx")
    per_token = 2 * 2 * 3 * 64 * 4
    for context in (200, 256, 257, 1024):
        with running("mlx", shallow_f32.folder, context) as asked:
            for _ in range(2):
                (model,) = asked.memory().models
                assert bytes_of(model["kv_cache_bytes"]) == -(-context // 256) * 256 * per_token
                answer(asked, PROMPTS[0], 4)


def test_what_real_engines_say_keeps_to_the_schema(shallow_f32: Unpacked) -> None:
    """Memory and cache as MLX tells them are what the schema of the protocol says."""
    needs_engine("mlx")
    schema = json.loads(shipped_text("hwledger.runner.sidecar", "schemas/sidecar-1.json"))
    with running("mlx", shallow_f32.folder, kept_bytes=HELD) as asked:
        assert isinstance(asked, SidecarRunning)
        for method in ("memory", "cache_stats", "health"):
            told = asked._client.call(method, limit_s=60)
            Draft202012Validator(schema["$defs"][method]["properties"]["result"]).validate(told)


def test_a_prompt_that_is_given_up_ends_with_its_step(shallow_f32: Unpacked) -> None:
    """A long prompt is cancelled while it is taken in; the next request is answered as if nothing had been."""
    needs_engine("mlx")
    with running("mlx", shallow_f32.folder, 2048) as asked:
        before, _ = answer(asked, PROMPTS[0], 6)
        stream = asked.generate(Ask(prompt=LONG * 150, max_tokens=5))
        seen = []
        for event in stream:
            seen.append(event)
            if isinstance(event, Progress) and event.done:
                threading.Thread(target=asked.cancel).start()
        done = seen[-1]
        assert isinstance(done, Done)
        assert done.ending is Ending.CANCELLED
        assert not [event for event in seen if isinstance(event, Piece)]
        assert answer(asked, PROMPTS[0], 6)[0] == before


@pytest.mark.requirement("FR-RUN-CACHE")
@pytest.mark.parametrize(("name", "blocks"), [("mlx", 2), ("llama.cpp", 1)])
def test_what_was_computed_is_found_by_the_next_process(
    shallow_f32: Unpacked, name: str, blocks: int
) -> None:
    """The beginning of a prompt comes from the disk, for another end too, and the tokens are the same."""
    needs_engine(name)
    model = shallow_f32.gguf if name == "llama.cpp" else shallow_f32.folder
    prompt, other = LONG * 60, LONG * 52 + "then"
    with running(name, model, 1024) as asked:
        cold = [answer(asked, each, 8)[0] for each in (prompt, other)]
    with running(name, model, 1024, HELD) as asked:
        assert answer(asked, prompt, 8)[1].cached_tokens == 0
    assert BlockStore(prompts_folder()).stats().blocks == blocks
    with running(name, model, 1024, HELD) as asked:
        text, timings = answer(asked, prompt, 8)
        assert text == cold[0]
        assert timings.cached_tokens >= 512
        assert timings.cached_tokens + timings.prompt_tokens == len(tokens_of(asked, prompt))
    with running(name, model, 1024, HELD) as asked:
        text, timings = answer(asked, other, 8)
        assert text == cold[1]
        assert timings.cached_tokens >= 512
    folder = prompts_folder()
    assert not list(folder.glob("slots-*"))


def tokens_of(asked: object, prompt: str) -> list[int]:
    """Return the tokens of a prompt."""
    assert isinstance(asked, Tokenizes)
    return asked.tokenize(prompt)


@pytest.mark.requirement("FR-RUN-CACHE")
@pytest.mark.parametrize("name", ["mlx", "llama.cpp"])
def test_other_weights_find_nothing(shallow_f32: Unpacked, tmp_path: Path, name: str) -> None:
    """A model of the same name and shape with one other number shares no cache."""
    needs_engine(name)
    place = tmp_path / "model"
    source = shallow_f32.gguf if name == "llama.cpp" else shallow_f32.folder
    subprocess.run(["cp", "-r", source, place.with_suffix(source.suffix)], check=True)
    model = place.with_suffix(source.suffix)
    with running(name, model, 1024, HELD) as asked:
        answer(asked, LONG * 60, 1)
    weights = model if name == "llama.cpp" else model / "model.safetensors"
    with weights.open("r+b") as file:
        file.seek(-4096, os.SEEK_END)
        file.write(bytes(4))
    with running(name, model, 1024, HELD) as asked:
        assert answer(asked, LONG * 60, 1)[1].cached_tokens == 0


@pytest.mark.requirement("FR-RUN-CACHE")
@pytest.mark.parametrize("name", ["mlx", "llama.cpp"])
def test_a_cache_that_is_spoiled_changes_no_token(shallow_f32: Unpacked, name: str) -> None:
    """Whatever is done to entries and index, the engine lives and answers as without them."""
    needs_engine(name)
    model = shallow_f32.gguf if name == "llama.cpp" else shallow_f32.folder
    prompts = [LONG * 30, "Another beginning. " + LONG * 30]
    chance, store = random.Random(name), BlockStore(prompts_folder())
    with running(name, model, 512) as asked:
        cold = [answer(asked, prompt, 4)[0] for prompt in prompts]
    with running(name, model, 512, HELD) as asked:
        for spoil in SPOILS.values():
            for prompt in prompts:
                answer(asked, prompt, 1)
            store.verify()
            spoil(store, chance)
            assert [answer(asked, prompt, 4)[0] for prompt in prompts] == cold


def test_the_command_line_runs_it(shallow_f32: Unpacked) -> None:
    """``run --engine mlx`` plans, answers and reconciles; ``auto`` finds it by the format; the cache is told."""
    needs_engine("mlx")
    for chosen in ("mlx", "auto"):
        ran = command("run", str(shallow_f32.folder), LONG * 60, "--engine", chosen, "--context", "1024",
                      "--max-tokens", "3", "--json", "--prompt-cache", "1GiB", "--temperature", "0")  # fmt: skip
        events = [json.loads(line) for line in ran.splitlines()]
        assert events[0]["engine"] == "mlx"
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
