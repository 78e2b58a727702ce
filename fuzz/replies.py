"""Servers that answer wrongly: every remote source against mutated replies, over real sockets.

``python fuzz/replies.py 100000`` runs that many; the tests of this folder run a few. A case takes the right
replies of a server and breaks one or all of them: statuses, headers, redirects, bodies, JSON values. What
may come out is a model or one of our errors, within the limit of time, without unbounded memory, without a
token shown to another host, and without a connection to another scheme.
"""

import json
import os
import random
import resource
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from hwledger.app import plan
from hwledger.errors import HwledgerError
from hwledger.library.access import Access
from hwledger.library.hub.search import HubQuery, search_hub
from hwledger.library.source import open_model
from support import tiny
from support.checkpoints import saved
from support.engine_servers import EngineServer, LlamaServer, MistralRs, Sglang, Tgi, Vllm
from support.hub_repo import Repo
from support.hub_server import HubServer
from support.lmstudio import newer_row
from support.ollama import shown_of
from support.web_server import Answer, Around, RawReply, Reply, Request, WebServer, file

LIMIT_S = 0.4
STATUSES = (200, 204, 206, 301, 304, 400, 401, 403, 404, 410, 416, 418, 451, 500, 599, 999)
TOKEN = "hf_secret"  # noqa: S105 - of a hub on loopback
WEIRD: tuple[Any, ...] = (
    None, True, -1, 0, 10**400, 1e308, "", "x" * 5000, [], {}, [[]], "../../etc/passwd", "\0", "/abs",
    "a/../../b", {"a": {"b": [1]}}, "\ud800", "NaN", 2**63, [None] * 100,
)  # fmt: skip


@dataclass
class Findings:
    """What a run showed.

    Attributes:
        cases: how many were run.
        outcomes: how many ended in a model and in each error.
        slowest_s: the longest case.
        grown_bytes: what the process grew by.
        wrong: descriptions of everything that must not happen.
    """

    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    grown_bytes: int = 0
    wrong: list[str] = field(default_factory=list)


class Trap:
    """Listens where nobody may come: the target of redirects to another scheme."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]

    def visits(self) -> int:
        """Return the connections that were made."""
        count = 0
        while True:
            try:
                self._socket.accept()[0].close()
            except BlockingIOError:
                return count
            count += 1

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


class Mutator:
    """Breaks replies in ways that a seed decides."""

    def __init__(self, dice: random.Random, elsewhere: str, trap: int) -> None:
        self.dice = dice
        self.elsewhere = elsewhere
        self.trap = trap
        self.share = 0.0

    def __call__(self, request: Request, normal: Callable[[Request], Answer]) -> Answer:
        """Return the ordinary answer, broken or as it is."""
        reply = normal(request)
        if self.dice.random() > self.share or not isinstance(reply, Reply):
            return reply
        return self.dice.choice(
            (self._status, self._headers, self._redirect, self._bytes, self._json, self._cut, self._raw)
        )(reply)

    def _status(self, reply: Reply) -> Reply:
        return replace(reply, status=self.dice.choice(STATUSES))

    def _headers(self, reply: Reply) -> Reply:
        changes: dict[str, tuple[str, ...]] = {
            "Content-Length": ("0", "1", "-1", "99999999999999999999", "abc", str(len(_body(reply)) + 9)),
            "Content-Range": (
                "bytes 0-0/1",
                "bytes 5-1/9",
                "bytes */*",
                "bytes 0-99999999/99999999",
                "x",
                "bytes 0-",
            ),
            "Content-Encoding": ("gzip", "br", "deflate", "identity", "zstd, gzip"),
            "Content-Type": ("text/html", "application/json; charset=utf-16"),
            "Transfer-Encoding": ("chunked", "gzip"),
            "ETag": ('"other"', "W/", ""),
            "X-Error-Code": ("GatedRepo", "RepoNotFound", "EntryNotFound", "?" * 900),
            "Retry-After": ("0", "99999999999", "-1", "Wed"),
            "Link": (f'<{self.elsewhere}/next>; rel="next"', "<file:///etc/passwd>; rel=next"),
        }
        name = self.dice.choice(list(changes))
        return replace(reply, headers={**reply.headers, name: self.dice.choice(changes[name])})

    def _redirect(self, reply: Reply) -> Reply:
        del reply
        target = self.dice.choice(
            (
                f"https://127.0.0.1:{self.trap}/x", f"ftp://127.0.0.1:{self.trap}/x", "file:///etc/passwd",
                f"{self.elsewhere}/x", "//", "http://", "http://[::1", "/", "gopher://x", "\x00", "http://127.0.0.1:99999/",
                "javascript:1", "?", "http://" + "a" * 5000,
            )
        )  # fmt: skip
        headers = {"Location": target.replace("\x00", "%00")}
        return Reply(self.dice.choice((301, 302, 303, 307, 308)), headers, b"moved")

    def _bytes(self, reply: Reply) -> Reply:
        data = bytearray(_body(reply) or b"x")
        for _ in range(self.dice.randint(1, 8)):
            at = self.dice.randrange(len(data))
            if self.dice.random() < 0.7:
                data[at] = self.dice.randrange(256)
            else:
                data[at : at + 8] = self.dice.choice((b"\xff" * 8, bytes(8), b"\x00" * 7 + b"\x80"))
        return replace(reply, body=bytes(data))

    def _json(self, reply: Reply) -> Reply:
        try:
            value = json.loads(_body(reply))
        except ValueError:
            return self._bytes(reply)
        body = json.dumps(self._changed(value)).encode("utf-8", "surrogatepass")
        headers = {key: text for key, text in reply.headers.items() if key != "Content-Range"}
        if reply.status == 206:
            headers["Content-Range"] = f"bytes 0-{len(body) - 1}/{len(body)}"
        return Reply(reply.status, headers, body)

    def _changed(self, value: Any) -> Any:
        if isinstance(value, dict) and value and self.dice.random() < 0.9:
            key = self.dice.choice(list(value))
            return {**value, key: self._changed(value[key])}
        if isinstance(value, list) and value and self.dice.random() < 0.9:
            at = self.dice.randrange(len(value))
            return [*value[:at], self._changed(value[at]), *value[at + 1 :]]
        return self.dice.choice(WEIRD)

    def _cut(self, reply: Reply) -> Reply:
        return replace(reply, cut_after=self.dice.randint(0, len(_body(reply))))

    def _raw(self, reply: Reply) -> RawReply:
        ok = b"HTTP/1.1 200 OK\r\n"
        whole = (
            b"", bytes(300), b"\x16\x03\x01\x02\x00", b"HTTP/9.9 200 OK\r\n\r\n", b"HTTP/1.1 200\r\n\r\n",
            ok + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
            ok + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n" * 50, ok + b"a: b\r\n" * 5000 + b"\r\n", ok + b"a" * 200_000,
            b"HTTP/1.1 302 F\r\nLocation: \xff\xfe\r\n\r\n",
        )  # fmt: skip
        return RawReply(self.dice.choice(whole) + _body(reply)[:200])


def _body(reply: Reply) -> bytes:
    assert isinstance(reply.body, bytes)
    return reply.body


def run(cases: int = 2000, seed: int = 1) -> Findings:
    """Run ``cases`` cases and return what they showed."""
    found = Findings()
    dice = random.Random(seed)
    with ExitStack() as stack:
        trap = Trap()
        stack.callback(trap.close)
        other = stack.enter_context(WebServer(elsewhere=Reply(200, {}, b"{}")))
        elsewhere = other.url.replace("127.0.0.1", "localhost")
        mutator = Mutator(dice, elsewhere, trap.port)
        repos = [
            Repo("o/plain", tiny.plain(2)), Repo("o/x-GGUF", {"x-F16.gguf": tiny.gguf_file()}),
            Repo("o/mlx", tiny.mlx()), Repo("o/npz", tiny.npz()),
        ]  # fmt: skip
        hub = stack.enter_context(HubServer(repos, tokens={TOKEN}))
        web = stack.enter_context(WebServer({"/x.gguf": file(tiny.gguf_file())}))
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        local = saved(Path(folder) / "models", {"tiny-F16.gguf": tiny.gguf_file()})
        programs = [stack.enter_context(server) for server in _programs(local)]
        for server in (hub, web, *programs):
            server.faults.append(("", inf, Around(mutator)))
        os.environ |= {
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": TOKEN,
            "HWLEDGER_CACHE_DIR": folder,
            "HF_HOME": folder,
            "OLLAMA_HOST": programs[0].url,
            "OLLAMA_MODELS": f"{folder}/none",
            "LMSTUDIO_BASE_URL": programs[1].url,
            "HWLEDGER_SERVER_KEY": TOKEN,
            "HOME": folder,
        }
        actions: list[Callable[[Access], object]] = [
            *(lambda access, ref=repo.id: open_model(ref, access=access) for repo in repos),
            lambda access: open_model(f"{web.url}/x.gguf", access=access),
            lambda access: search_hub(HubQuery(words="x"), access),
            lambda access: plan("ollama:tiny:1b", access=access),
            lambda access: plan("lmstudio:tiny", access=access),
            *(lambda access, url=server.url: plan(url, access=access) for server in programs),
        ]
        start = _size()
        for number in range(cases):
            mutator.share = dice.choice((0.3, 0.6, 1.0))
            _one(found, number, dice.choice(actions))
            if number % 200 == 0:
                for server in (hub.cdn, other):
                    if any(asked.authorization for asked in server.log):
                        found.wrong.append(f"case {number}: a token was shown to another host")
                for server in (hub, hub.cdn, web, other, *programs):
                    server.forget()
        if trap.visits():
            found.wrong.append("a redirect to another scheme was followed")
        if any(asked.authorization for server in (hub.cdn, other) for asked in server.log):
            found.wrong.append("a token was shown to another host")
        found.grown_bytes = _size() - start
    found.cases = cases
    return found


def _programs(local: str) -> list[EngineServer]:
    """Return the programs and engines that are asked, each with the model at ``local``."""
    shown = shown_of(open_model(local).metadata)
    row = {"name": "tiny:1b", "size": 9, "size_vram": 9, "context_length": 512}
    ollama = {"/api/version": {"version": "0.13.1"}, "/api/tags": {"models": [row]},
              "/api/ps": {"models": [row]}, "/api/show": shown}  # fmt: skip
    loaded = newer_row("tiny", config={"context_length": 512, "parallel": 4})
    studio = {"/api/v1/models": {"models": [loaded]},
              "/api/v0/models": {"data": [{"id": "tiny", "type": "llm", "state": "loaded"}]}}  # fmt: skip
    props = {"default_generation_settings": {"n_ctx": 512, "params": {}}, "total_slots": 2,
             "model_path": local, "build_info": "b7100-abc"}  # fmt: skip
    cards = {"object": "list", "data": [{"id": "tiny", "object": "model", "owned_by": "llamacpp"}]}
    metrics = 'vllm:cache_config_info{block_size="16",cache_dtype="fp8",gpu_memory_utilization="0.8"} 1.0\n'
    vllm = Vllm(metrics, key=TOKEN)
    vllm.answers["/v1/models"]["data"][0]["root"] = local
    return [
        EngineServer(ollama), EngineServer(studio), vllm, LlamaServer(props, cards),
        Sglang({"model_path": local}), Tgi(), MistralRs(),
    ]  # fmt: skip


def _one(found: Findings, number: int, action: Callable[[Access], object]) -> None:
    start = time.monotonic()
    try:
        action(Access(refresh=True, time_limit_s=LIMIT_S))
        found.outcomes["read"] += 1
    except HwledgerError as error:
        found.outcomes[type(error).__name__] += 1
        if "\n" in str(error) or len(str(error)) > 2000:
            found.wrong.append(f"case {number}: no sentence: {str(error)[:300]!r}")
    except Exception as error:  # noqa: BLE001 - anything else is what is looked for
        found.wrong.append(f"case {number}: {type(error).__name__}: {str(error)[:300]}")
    took = time.monotonic() - start
    found.slowest_s = max(found.slowest_s, took)
    if took > LIMIT_S + 10:  # a busy machine; without the limit it would be 30 s and more
        found.wrong.append(f"case {number}: took {took:.1f} s")


def _size() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    result = run(*(int(text) for text in sys.argv[1:3]))
    grown = result.grown_bytes / 2**20
    print(f"{result.cases:,} cases, slowest {result.slowest_s:.2f} s, grown {grown:.0f} MiB")
    print(dict(result.outcomes))
    for line in result.wrong[:40]:
        print(line)
    sys.exit(bool(result.wrong))
