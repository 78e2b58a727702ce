"""A real llama.cpp server with a real small model: watched while it generates and sleeps, and by its log."""

import json
import shlex
import sys
import sysconfig
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

from hwledger.telemetry.engines.live.sampler import EnginesSampler
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Reading, Value, number_of
from hwledger.telemetry.recorded import read_recorded
from hwledger.telemetry.snapshot import EngineSnapshot
from hwledger.telemetry.system import System
from support.engines import LLAMA_SERVER, ask, free_port, needs, running

pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("FR-TEL-ENGINES")]
PATIENCE_S = 90
MIB = 1 << 20
SLOTS, CONTEXT = 2, 512
KV_BYTES = SLOTS * CONTEXT * 30 * 2 * 192 * 2
"""Tokens of all slots, layers, keys and values, 3 heads of 64, two bytes (SmolLM2-135M)."""
TOKENS = 400
"""More than are waited for: the request is given up once it was seen at work."""


@contextmanager
def serving(smollm: Path, llama_server: Path, folder: Path, words: str = "") -> Iterator[str]:
    """Run a real server with metrics and the lines of its buffers."""
    port = free_port()
    script = (
        f"exec llama-server -m {shlex.quote(str(smollm))} --host 127.0.0.1 --port {port} --metrics -lv 4"
        f" --no-repack --no-warmup -c {SLOTS * CONTEXT} -np {SLOTS} {words}"
    )
    with running(script, port, folder, str(llama_server)) as address:
        yield address


def source_of(address: str) -> EnginesSampler:
    """Return a source that is told of one address; a busy machine is waited for."""
    return EnginesSampler(System(environ={"HWLEDGER_ENGINES": address}), limit_s=30.0)


def look(source: EnginesSampler, *, processes: bool = False) -> EngineSnapshot:
    """Return the one engine that is seen."""
    (engine,) = source.sample(processes=processes).engines
    return engine


def value(reading: Reading) -> object:
    """Return a value; fails on a reason."""
    assert isinstance(reading, Value), reading
    return reading.value


def test_a_real_server_is_watched_while_it_generates(
    smollm: Path, llama_server: Path, tmp_path: Path
) -> None:
    """Model, slots and context; a request while it runs; its tokens as they come and when it has ended."""
    with serving(smollm, llama_server, tmp_path) as address:
        source = source_of(address)
        idle = look(source, processes=True)
        assert (idle.engine, idle.address, idle.pid is not None) == ("llama.cpp", address, True)
        assert (value(idle["slots"]), value(idle["context"])) == (SLOTS, CONTEXT)
        assert value(idle["requests_running"]) == 0
        (model,) = idle.models
        assert model.loaded
        assert (value(model["parameters"]), value(model["quantisation"])) == (134_515_008, "Q4_1")
        with Request(address) as request:
            seen = _watched(source, request)
            received = request.received
        ended = _ended(source)
        source.close()
    counts = [number_of(engine["generated_tokens"]) or 0 for engine in seen]
    assert counts == sorted(counts)
    assert 0 < counts[-1] < TOKENS
    assert any((number_of(engine["decode_speed"]) or 0) > 0 for engine in seen)
    assert value(seen[-1]["requests_running"]) == 1
    assert (number_of(ended["generated_tokens"]) or 0) >= max(received, counts[-1])
    assert (number_of(ended["prompt_tokens"]) or 0) > 0


class Request:
    """A long request whose tokens are read as they come, and that is given up at the end.

    Attributes:
        received: tokens that came so far.
    """

    def __init__(self, address: str) -> None:
        question = {"prompt": "The sky", "n_predict": TOKENS, "ignore_eos": True, "stream": True}
        headers = {"Content-Type": "application/json"}
        asked = urllib.request.Request(f"{address}/completion", json.dumps(question).encode(), headers)  # noqa: S310 - loopback
        self.received = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(asked,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(PATIENCE_S)

    def _read(self, asked: urllib.request.Request) -> None:
        with urllib.request.urlopen(asked, timeout=PATIENCE_S) as reply:  # noqa: S310 - loopback
            for line in reply:
                self.received += line.startswith(b"data: ")
                if self._over.is_set():
                    return


def _watched(source: EnginesSampler, request: Request) -> list[EngineSnapshot]:
    """Look on until tokens of the running request were counted more than once, and a rate was seen."""
    seen: list[EngineSnapshot] = []
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        seen.append(look(source))
        if request.received > 2 and (number_of(seen[-1]["decode_speed"]) or 0) > 0:
            break
        time.sleep(0.05)
    return seen


def _ended(source: EnginesSampler) -> EngineSnapshot:
    """Look on until no request runs."""
    end = time.monotonic() + PATIENCE_S
    engine = look(source)
    while number_of(engine["requests_running"]) != 0 and time.monotonic() < end:
        time.sleep(0.1)
        engine = look(source)
    return engine


def test_a_real_server_is_found_by_its_process(smollm: Path, tmp_path: Path) -> None:
    """Nobody names its address: its command line and the port that it listens on are enough."""
    needs("xllamacpp")
    program, port = tmp_path / "llama-server", free_port()
    program.symlink_to(Path(sys.executable).resolve())
    words = [str(program), str(LLAMA_SERVER), "-m", str(smollm), "--host", "127.0.0.1", "--port", str(port)]
    packages = shlex.quote(sysconfig.get_path("purelib"))
    script = f"PYTHONPATH={packages} exec {shlex.join(words)} --no-warmup -c 256 -np 1"
    with running(script, port, tmp_path) as address:
        source = EnginesSampler(System(environ={}), limit_s=30.0)
        found = {engine.address: engine for engine in source.sample(processes=True).engines}
        source.close()
    engine = found[address]
    assert engine.engine == "llama.cpp"
    assert engine.pid is not None
    assert value(engine["context"]) == 256
    assert "--metrics" in getattr(engine["generated_tokens"], "detail", "")


def test_the_log_of_a_real_server(smollm: Path, llama_server: Path, tmp_path: Path) -> None:
    """With -lv 4: weights as the server states them, the cache as its shape makes it, compute, slots."""
    with serving(smollm, llama_server, tmp_path) as address:
        stated = ask(f"{address}/v1/models")["data"][0]["meta"]["size"]
    kind, sample = read_recorded((tmp_path / "log.txt").read_text("utf-8", "replace"))
    assert kind.name == "llama.cpp log"
    engine, model = sample.engines[0], sample.engines[0].models[0]
    assert value(engine["slots"]) == SLOTS
    assert value(engine["kv_cache_tokens"]) == SLOTS * CONTEXT
    assert number_of(model["weights_bytes"]) == pytest.approx(stated, abs=0.005 * MIB + 1)
    assert value(model["kv_cache_bytes"]) == KV_BYTES
    assert value(model["kv_cache_type"]) == "f16"
    assert (number_of(model["compute_bytes"]) or 0) > MIB
    assert Quantity.WEIGHTS_BYTES in {name for told in model.devices.values() for name in told}


def test_a_real_server_goes_to_sleep_while_it_is_watched(
    smollm: Path, llama_server: Path, tmp_path: Path
) -> None:
    """Looking neither keeps the model from being unloaded nor wakes it."""
    with serving(smollm, llama_server, tmp_path, "--sleep-idle-seconds 1") as address:
        source = source_of(address)
        end = time.monotonic() + PATIENCE_S
        engine = look(source, processes=True)
        while engine.models[0].loaded and time.monotonic() < end:
            time.sleep(0.2)
            engine = look(source)
        assert engine.models[0].loaded is False
        for _ in range(3):
            assert look(source).models[0].loaded is False
        assert ask(f"{address}/props")["is_sleeping"] is True
        source.close()
