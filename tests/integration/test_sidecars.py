"""Sidecars as processes: what they say keeps to the schema, and however one breaks, nothing is left of it."""

import json
import random
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from hwledger.errors import EngineError, UsageError
from hwledger.runner.engine import Ask, Done, Ending, Limits, Piece
from hwledger.runner.sidecar.running import Program, start
from hwledger.shipped import shipped_text
from support.children import children
from support.sidecars import BACKEND, FAULTS, SILENT_S, cancelled, gone, sentence, sidecar

pytestmark = [
    pytest.mark.requirement("FR-RUN-SIDECAR"),
    pytest.mark.skipif(sys.platform == "win32", reason="no process groups"),
]
SCHEMA = json.loads(shipped_text("hwledger.runner.sidecar", "schemas/sidecar-1.json"))
JOB = {"prompt": "a b c", "max_tokens": 3, "chat": False, "temperature": 0.0, "seed": None}


def line_of(request: dict[str, Any]) -> bytes:
    """Return a request as a line."""
    return json.dumps({"jsonrpc": "2.0", **request}).encode()


def spoken(*requests: dict[str, Any] | bytes) -> list[dict[str, Any]]:
    """Return the messages with which a sidecar answers lines, until as many results came."""
    lines = [each if isinstance(each, bytes) else line_of(each) for each in requests]
    words = [sys.executable, "-P", "-m", "hwledger.runner.sidecar", BACKEND]
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    process = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=nothing)
    assert process.stdin
    assert process.stdout
    said: list[dict[str, Any]] = []
    for line in lines:
        process.stdin.write(line + b"\n")
        process.stdin.flush()
        while True:
            said.append(json.loads(process.stdout.readline()))
            if "method" not in said[-1]:
                break
    process.stdin.close()
    assert process.stdout.read() == b""
    assert process.wait(30) == 0
    process.stdout.close()
    return said


def test_what_is_said_keeps_to_the_schema() -> None:
    """Every method's request, result and notifications are what the schema in the package says."""
    asked = [("health", {}), ("tokenize", {"text": "a b"}), ("load", {"model": "m", "context": 99}),
             ("generate", JOB), ("memory", {}), ("cache_stats", {}), ("cancel", {"request": 77}),
             ("health", {}), ("unload", {})]  # fmt: skip
    requests = [
        {"id": number, "method": name, "params": params} for number, (name, params) in enumerate(asked)
    ]
    whole = Draft202012Validator(SCHEMA)
    for request in requests:
        whole.validate({"jsonrpc": "2.0", **request})
    said = spoken(*requests)
    for message in said:
        whole.validate(message)
        if "result" in message:
            result = SCHEMA["$defs"][asked[message["id"]][0]]["properties"]["result"]
            Draft202012Validator(result).validate(message["result"])
    assert [message["id"] for message in said if "result" in message] == list(range(len(asked)))
    assert (
        "".join(message["params"]["text"] for message in said if message.get("method") == "piece") == " a b c"
    )
    assert {message["method"] for message in said if "method" in message} == {"progress", "piece"}


@pytest.mark.parametrize(
    ("line", "code"),
    [(b"not json", -32700), (b"[1]", -32600), (b'{"jsonrpc":"2.0","id":true,"method":"health"}', -32600),
     (b'{"jsonrpc":"2.0","id":1,"method":"fly"}', -32601), (b'{"jsonrpc":"1.0","id":1}', -32600),
     (b'{"jsonrpc":"2.0","id":1,"method":"tokenize","params":{"text":1}}', -32602),
     (b'{"jsonrpc":"2.0","id":1,"method":"generate","params":{"prompt":"x"}}', -32602),
     (b'{"jsonrpc":"2.0","id":1,"method":"generate","params":' + json.dumps(JOB).encode() + b"}", -32002)],
)  # fmt: skip
def test_what_is_not_understood_is_refused_by_its_code(line: bytes, code: int) -> None:
    """One error answers a bad line, and the next request is met."""
    error, health = spoken(line, {"id": 2, "method": "health", "params": {}})
    Draft202012Validator(SCHEMA).validate(error)
    assert error["error"]["code"] == code
    assert health["result"]["protocol"] == SCHEMA["$defs"]["health"]["properties"]["result"]["properties"][
        "protocol"
    ]["const"]  # fmt: skip


def test_an_engine_that_prints_breaks_no_protocol() -> None:
    """What goes to its standard output, by Python or past it, is in the log and nowhere else."""
    with sidecar() as running:
        pieces = [event.text for event in running.generate(Ask(prompt="!print x", max_tokens=2))
                  if isinstance(event, Piece)]  # fmt: skip
        assert "".join(pieces) == " !print x"
        assert running.log
        log = running.log
    assert "and one that writes to the file itself" in log.read_text()


def test_a_stranger_and_noise_are_of_no_matter() -> None:
    """An answer to what nobody asked, and a notification that nobody knows, change nothing."""
    with sidecar() as running:
        for prompt in ("!stranger", "!noise"):
            *_, done = running.generate(Ask(prompt=f"{prompt} x", max_tokens=2))
            assert isinstance(done, Done)
            assert done.ending is Ending.LENGTH


def test_it_is_cancelled_while_it_waits_and_while_it_answers() -> None:
    """A request that is cancelled from another thread ends soon, and so does one whose iterator is closed."""
    with sidecar() as running:
        threading.Timer(0.2, running.cancel).start()
        *_, done = running.generate(Ask(prompt="over and over"))
        assert isinstance(done, Done)
        assert done.ending is Ending.CANCELLED
        stream = running.generate(Ask(prompt="over and over"))
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        *_, done = running.generate(Ask(prompt="a", max_tokens=1))
        assert isinstance(done, Done)
        assert done.ending is Ending.LENGTH


def test_an_engine_that_is_deep_in_its_work_holds_up_nobody_who_cancels() -> None:
    """The request ends while the engine is still at it; the next one is answered when that is through."""
    with sidecar() as running:
        done = cancelled(running, "!slow x")[-1]
        assert isinstance(done, Done)
        assert done.ending is Ending.CANCELLED
        assert running._client.call("health", limit_s=60)["busy"]
        *_, done = running.generate(Ask(prompt="a", max_tokens=1))
        assert isinstance(done, Done)
        assert done.ending is Ending.LENGTH


def test_what_an_engine_raises_is_a_sentence_and_it_goes_on() -> None:
    """An exception within the engine ends its request alone."""
    with sidecar() as running:
        pid = running.pid
        assert "as it was told to" in sentence(running, "!raise")
        with pytest.raises(UsageError, match="context"):
            list(running.generate(Ask(prompt="x " * (1 << 20))))
        assert list(running.generate(Ask(prompt="a", max_tokens=1)))
        assert running.pid == pid


def test_a_crash_is_one_sentence_and_the_next_request_starts_it_again() -> None:
    """It says how the process ended and where its log is; after a pause another process answers."""
    with sidecar() as running:
        first = running.pid
        said = sentence(running, "!segfault x")
        assert "SIGSEGV" in said
        assert "about to crash" in said
        assert str(running.log) in said
        assert [event.text for event in running.generate(Ask(prompt="a", max_tokens=1))
                if isinstance(event, Piece)] == [" a"]  # fmt: skip
        assert running.pid != first


def test_one_that_crashes_again_and_again_is_given_up() -> None:
    """After five crashes nothing is started any more; the sentence says so."""
    with sidecar() as running:
        running._backoff.first_s = 0.001
        for _ in range(running._backoff.tries):
            sentence(running, "!exit x")
        assert "is given up" in sentence(running, "a")
        assert running.pid is not None
        assert gone(running.pid)


@pytest.mark.parametrize("model", ["!segfault", "!exit", "!hang", "!garbage", "!raise"])
def test_what_breaks_while_it_loads_is_one_sentence(model: str) -> None:
    """Whatever happens while a model is loaded: an error, and no process is left."""
    program = Program(engine="fake", title="the fake engine", backend=BACKEND, model="m",
                      load={"model": model, "context": 9})  # fmt: skip
    with pytest.raises(EngineError) as told:
        start(program, Limits(ready_s=SILENT_S if model == "!hang" else 60))
    assert "\n" not in str(told.value)
    assert not children()


def test_another_version_of_the_protocol_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sidecar that speaks another version is not talked to."""
    monkeypatch.setattr("hwledger.runner.sidecar.protocol.VERSION", 2)
    with pytest.raises(EngineError, match="version 1 of the protocol"):
        sidecar()


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_is_left_however_it_breaks(name: str) -> None:
    """Killed, crashed, hanging, ended, mute or talking nonsense: one sentence, no orphan, zombie or hang."""
    begun = time.monotonic()
    for seed in range(3):
        assert FAULTS[name](random.Random(f"{name} {seed}"))
    assert time.monotonic() - begun < 300
    assert not children()
