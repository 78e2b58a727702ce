"""hwledger's side of a sidecar: requests, answers, time limits, and one sentence for whatever goes wrong."""

import contextlib
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from typing import IO, Any, Final

from hwledger.errors import EngineError, HwledgerError, UsageError
from hwledger.runner.process import Child
from hwledger.runner.sidecar import protocol
from hwledger.runner.sidecar.protocol import Code, WrongMessageError

SEEN_S: Final = 2.0
"""What the guard may take to tell how a process ended whose answers broke off."""
_OVER: Final[Mapping[str, Any]] = {}


class Client:
    """Talks to one sidecar.

    Args:
        child: its process, with pipes.
    """

    def __init__(self, child: Child) -> None:
        assert child.pipes is not None  # noqa: S101 - it was started to be talked to
        self.child = child
        self._to, self._from = child.pipes
        self._writing = threading.Lock()
        self._waiting: dict[int, queue.SimpleQueue[Mapping[str, Any]]] = {}
        self._broken = ""
        self._numbers = iter(range(1, 1 << 62))
        self._ear = threading.Thread(target=self._listen, name=f"sidecar of {child.name}", daemon=True)
        self._ear.start()

    @property
    def works(self) -> bool:
        """Whether it can be asked."""
        return not self._broken and self.child.alive

    def call(self, method: str, params: Mapping[str, Any] | None = None, *, limit_s: float) -> dict[str, Any]:
        """Return the result of a request.

        Raises:
            UsageError: it cannot be met as it is.
            EngineError: the engine fails, or says nothing for so long; then it is ended.
        """
        number = self.begin(method, params)
        for message in self.messages(number, limit_s):
            if "method" not in message:
                return result_of(self.child.name, message)
        raise AssertionError  # the last message is a result, or an error is raised

    def begin(self, method: str, params: Mapping[str, Any] | None = None) -> int:
        """Send a request whose messages are taken with ``messages``; return its number."""
        with self._writing:
            number = next(self._numbers)
        line = protocol.request(number, method, params or {})
        if len(line) > protocol.LONGEST:
            raise UsageError(f"the prompt is longer than {protocol.LONGEST >> 20} MiB: no context holds it")
        self._waiting[number] = queue.SimpleQueue()
        self._send(line)
        return number

    def tell(self, method: str, params: Mapping[str, Any]) -> None:
        """Send a request whose answer nobody waits for; nothing where the sidecar is gone."""
        with self._writing:
            number = next(self._numbers)
        with contextlib.suppress(HwledgerError):
            self._send(protocol.request(number, method, params))

    def messages(self, number: int, limit_s: float) -> Iterator[Mapping[str, Any]]:
        """Yield what is said about a request; the last one is its result or its error.

        Raises:
            EngineError: the process ends, says what is no message, or nothing for so long.
        """
        mine = self._waiting[number]
        try:
            while True:
                try:
                    message = mine.get(timeout=limit_s)
                except queue.Empty:
                    raise self._silent(limit_s) from None
                if message is _OVER:
                    raise self.failure()
                yield message
                if "method" not in message:
                    return
        finally:
            self._waiting.pop(number, None)

    def give_up(self, number: int) -> None:
        """Let whoever waits for a request that was cancelled wait no more; its own result is lost then."""
        mine = self._waiting.get(number)
        if mine is not None:
            mine.put({"result": {"ending": "cancelled"}})

    def _send(self, line: bytes) -> None:
        """Write a line whole.

        Raises:
            EngineError: nobody reads it.
        """
        try:
            with self._writing:
                view = memoryview(line)
                while view:
                    view = view[self._to.write(view) or 0 :]
        except (OSError, ValueError):  # the latter of a file that is closed
            raise self.failure() from None

    def _silent(self, limit_s: float) -> EngineError:
        """End a process that hangs; return what to say of it."""
        name, log = self.child.name, self.child.log
        self._broken = f"{name} said nothing for {limit_s:,.0f} s and was ended; its log is {log}"
        self.child.stop()
        return EngineError(self._broken)

    def failure(self) -> EngineError:
        """Return what to say of a sidecar that cannot be asked any more."""
        if self._broken:
            return EngineError(self._broken)
        if self.child.wait(SEEN_S):
            return self.child.failure("while it was at work")
        self._broken = f"{self.child.name} closed its pipes; its log is {self.child.log}"
        return EngineError(self._broken)

    def _listen(self) -> None:
        """Hand every message to whoever waits for it, until there are no more."""
        try:
            for line in protocol.lines(self._from):
                self._hand_over(protocol.decode(line))
        except (WrongMessageError, OSError, ValueError) as error:
            self._broken = (
                f"{self.child.name} said what is not understood ({error}); its log is {self.child.log}"
            )
        finally:
            _close(self._from)
            for each in list(self._waiting.values()):
                each.put(_OVER)
            self._waiting_is_over()

    def _waiting_is_over(self) -> None:
        """Let requests that are made from now on fail at once."""
        if not self._broken and self.child.alive:
            self.child.wait(SEEN_S)

    def _hand_over(self, message: Mapping[str, Any]) -> None:
        told = message.get("params")
        number = (
            message.get("id") if "method" not in message else isinstance(told, dict) and told.get("request")
        )
        if number is None and "error" in message:  # it did not understand us
            raise WrongMessageError(f"it did not understand a request: {_words(message['error'])}")
        mine = self._waiting.get(number) if isinstance(number, int) else None
        if mine is not None:  # else nobody waits for it any more
            mine.put(message)

    def stop(self) -> None:
        """End the process, and hear its end."""
        self.child.stop()
        self._ear.join(SEEN_S)


def result_of(name: str, message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result in an answer.

    Raises:
        UsageError: the request cannot be met as it is.
        EngineError: the engine failed.
    """
    found, error = message.get("result"), message.get("error")
    if isinstance(found, dict):
        return found
    words = _words(error)
    if isinstance(error, dict) and error.get("code") == Code.USAGE:
        raise UsageError(words)
    raise EngineError(f"{name} refuses: {words}")


def _words(error: object) -> str:
    told = error.get("message") if isinstance(error, dict) else None
    return " ".join(str(told or "no reason is given").split())[:300]


def _close(file: IO[bytes]) -> None:
    with contextlib.suppress(OSError):
        file.close()


def since(begun: float) -> float:
    """Return the seconds since a moment of the monotonic clock."""
    return time.monotonic() - begun
