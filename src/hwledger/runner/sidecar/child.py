"""The program in a sidecar: reads requests from its standard input, and answers on its standard output.

``python -P -m hwledger.runner.sidecar MODULE:CLASS``

Before anything else it keeps its standard output for itself and points file 1 at standard error, where the
log is: engines print, mistral.rs's log too, and none of that may get into the protocol. It ends when its
input does. What is imported of hwledger is light; the engine is imported when a model is loaded.
"""

import os
import queue
import sys
import threading
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import IO, Any, Final

from hwledger.runner.sidecar import protocol
from hwledger.runner.sidecar.backend import Backend, Job
from hwledger.runner.sidecar.protocol import Code, SidecarError, WrongMessageError

PROTOCOL: Final[list[IO[bytes]]] = []
"""The files that are read and written."""
_STRINGS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "prompt": str, "max_tokens": (int, type(None)), "chat": bool, "temperature": (int, float),
    "seed": (int, type(None)),
}  # fmt: skip


class Server:
    """Answers requests with a backend.

    Args:
        backend: the engine.
        out: where answers go.
    """

    def __init__(self, backend: Backend, out: IO[bytes]) -> None:
        self._backend = backend
        self._out = out
        self._writing = threading.Lock()
        self._waiting: queue.Queue[tuple[int, Callable[[], dict[str, Any]]]] = queue.Queue()
        self._cancels: dict[int, threading.Event] = {}
        self._loaded = False

    def send(self, line: bytes) -> None:
        """Write a line whole; where nobody reads any more, end."""
        try:
            with self._writing:
                view = memoryview(line)
                while view:
                    view = view[self._out.write(view) or 0 :]
        except OSError:
            os._exit(0)

    def hear(self, line: bytes | None) -> None:
        """Answer a line at once, or put its request behind those that wait."""
        number: object = None
        try:
            message = protocol.decode(line)
            number = _number(message)
            self._dispatch(message)
        except WrongMessageError as error:
            self.send(protocol.failure(number, error.code, str(error)))
        except SidecarError as error:
            self.send(protocol.failure(number, error.code, str(error)))

    def _dispatch(self, message: Mapping[str, Any]) -> None:
        number, method, params = _number(message), message.get("method"), message.get("params", {})
        if number is None or not isinstance(params, dict):
            raise WrongMessageError(
                "a request needs a whole number as its id, and named params", Code.INVALID
            )
        if number in self._cancels:
            raise WrongMessageError(f"request {number} is being answered", Code.INVALID)
        now = {"health": self._health, "cancel": self._cancel, "memory": self._memory,
               "cache_stats": self._cache_stats}  # fmt: skip
        later = {
            "load": self._load,
            "unload": self._unload,
            "generate": self._generate,
            "tokenize": self._tokenize,
        }
        if method in now:
            self._answer(number, lambda: now[str(method)](params))
        elif method in later:
            self._cancels[number] = threading.Event()
            self._waiting.put((number, lambda: later[str(method)](number, params)))
        else:
            raise WrongMessageError(f"there is no method {str(method)[:40]!r}", Code.UNKNOWN_METHOD)

    def _answer(self, number: int, do: Callable[[], dict[str, Any]]) -> None:
        try:
            line = protocol.result(number, do())
        except SidecarError as error:
            line = protocol.failure(number, error.code, str(error))
        except Exception as error:  # noqa: BLE001 - whatever an engine raises is told
            line = protocol.failure(
                number, Code.ENGINE, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            )
        self.send(line)

    def work(self) -> None:
        """Answer what waits, for ever; in the thread that engines are bound to."""
        while True:
            number, do = self._waiting.get()
            self._answer(number, do)
            self._cancels.pop(number, None)

    def _health(self, params: Mapping[str, Any]) -> dict[str, Any]:
        del params
        return {
            "protocol": protocol.VERSION, "engine": self._backend.name, "version": self._backend.version(),
            "loaded": self._loaded, "busy": bool(self._cancels), "pid": os.getpid(),
        }  # fmt: skip

    def _cancel(self, params: Mapping[str, Any]) -> dict[str, Any]:
        event = self._cancels.get(_given(params, "request", int))
        if event is not None:
            event.set()
        return {"cancelled": event is not None}

    def _memory(self, params: Mapping[str, Any]) -> dict[str, Any]:
        del params
        return self._backend.memory()

    def _cache_stats(self, params: Mapping[str, Any]) -> dict[str, Any]:
        del params
        return self._backend.cache_stats()

    def _load(self, number: int, params: Mapping[str, Any]) -> dict[str, Any]:
        del number
        _given(params, "model", str)
        _given(params, "context", int)
        told = self._backend.load(params)
        self._loaded = True
        return told

    def _unload(self, number: int, params: Mapping[str, Any]) -> dict[str, Any]:
        del number, params
        told = self._backend.unload()
        self._loaded = False
        return told

    def _tokenize(self, number: int, params: Mapping[str, Any]) -> dict[str, Any]:
        del number
        return self._backend.tokenize(_given(params, "text", str))

    def _generate(self, number: int, params: Mapping[str, Any]) -> dict[str, Any]:
        given = {name: _given(params, name, kind) for name, kind in _STRINGS.items()}

        def progress(done: int, total: int) -> None:
            self.send(protocol.notification("progress", {"request": number, "done": done, "total": total}))

        def piece(text: str, token: int | None) -> None:
            self.send(protocol.notification("piece", {"request": number, "text": text, "token": token}))

        return self._backend.generate(
            Job(**given, cancelled=self._cancels[number], progress=progress, piece=piece)
        )


def _number(message: Mapping[str, Any]) -> int | None:
    """Return the id of a request; ``None`` for one that is no whole number."""
    found = message.get("id")
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def _given(params: Mapping[str, Any], name: str, kind: type | tuple[type, ...]) -> Any:
    found = params.get(name)
    if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
        raise SidecarError(f"{name} is missing, or not what it has to be", Code.BAD_PARAMS)
    return found


def _keep_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Return the files of the protocol, out of the way of everything that reads or prints."""
    heard, said = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return os.fdopen(heard, "rb", 0), os.fdopen(said, "wb", 0)


def main(words: list[str]) -> int:
    """Answer requests until the input ends."""
    heard, said = _keep_streams()
    PROTOCOL.extend((heard, said))
    module, _, name = words[0].partition(":")
    server = Server(getattr(import_module(module), name)(), said)
    threading.Thread(target=_listen, args=(server, heard), daemon=True).start()
    server.work()
    return 0


def _listen(server: Server, heard: IO[bytes]) -> None:
    """Hear lines until there are no more, and end the process, whatever the engine is doing."""
    try:
        for line in protocol.lines(heard):
            server.hear(line)
    finally:
        sys.stderr.flush()
        os._exit(0)
