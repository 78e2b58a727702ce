"""Folders behind a server: files by their addresses, several read side by side, with progress."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, TypeVar
from urllib.parse import quote, unquote

from hwledger.library.access import Access, Progress
from hwledger.library.files import ByteFile
from hwledger.library.net.http import Http
from hwledger.library.net.remote_file import RemoteFile
from hwledger.library.net.replies import plain

SIDE_BY_SIDE: Final = 16
Result = TypeVar("Result")


def side_by_side(function: Callable[[str], Result], names: list[str]) -> list[Result]:
    """Return ``function`` of every name, in order, from several threads; the first error is raised at once.

    The threads are daemons, which an interpreter that leaves does not wait for: one may be held by a name
    that is looked up or a connection that is made, which nothing can cut.
    """
    waiting, futures = SimpleQueue[tuple[str, Future[Result]]](), [Future[Result]() for _ in names]
    for each in zip(names, futures, strict=True):
        waiting.put(each)
    for _ in range(min(SIDE_BY_SIDE, len(names))):
        Thread(target=_work, args=(function, waiting), daemon=True).start()
    try:
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        failed = next((future for future in futures if future in done and future.exception()), None)
        return [failed.result()] if failed else [future.result() for future in futures]
    finally:
        for future in futures:
            future.cancel()


def _work(function: Callable[[str], Result], waiting: "SimpleQueue[tuple[str, Future[Result]]]") -> None:
    with contextlib.suppress(Empty):
        while True:
            name, future = waiting.get_nowait()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(name))
                except BaseException as error:  # noqa: BLE001 - the caller raises it
                    future.set_exception(error)


class Counter:
    """Tells an ``Access`` how far reading is: files as they are finished, bytes as they come."""

    def __init__(self, http: Http, access: Access, what: str) -> None:
        self.opened = 0
        self._http = http
        self._access = access
        self._what = what
        self._done = 0
        self._files = 0
        http.on_bytes = self._tell

    def each(self, function: Callable[[str], Result], names: list[str]) -> list[Result]:
        """Return ``function`` of every name, in order, several at once.

        The first error ends all, and so does an interrupt: connections are cut and nobody is waited for.
        """
        self._done, self._files = 0, len(names)
        try:
            return side_by_side(lambda name: self._counted(function, name), names)
        except BaseException:
            self._http.cut()
            raise

    def _counted(self, function: Callable[[str], Result], name: str) -> Result:
        result = function(name)
        self._done += 1
        self._tell()
        return result

    def _tell(self) -> None:
        self._access.progress(Progress(self._what, self._done, self._files, self._http.bytes_read))


class WebFiles:
    """The folder of a file at a plain address; satisfies ``Files`` as far as a web server lets it.

    Args:
        http: the client.
        access: is told of the progress.
        url: address of one file in the folder; its query is used for the others too.
    """

    def __init__(self, http: Http, access: Access, url: str) -> None:
        address, mark, self._query = url.partition("?")
        self._base, _, self.first = address.rpartition("/")
        self._mark = mark
        self.first = unquote(self.first)
        self.where = plain(self._base)
        self.name = self.first.rpartition(".")[0]
        self._identities: list[str] = []
        self.counter = Counter(http, access, self.first)
        self._http = http

    def sizes(self) -> Mapping[str, int]:
        """Return the one file that is known to be there: a web server lists nothing."""
        return {self.first: 0}

    @contextmanager
    def open(self, name: str) -> Iterator[ByteFile]:
        """Open a file for reading in parts."""
        self.counter.opened += 1
        file = RemoteFile(self._http, f"{self._base}/{quote(name)}{self._mark}{self._query}")
        self._identities.append(file.identity)
        yield file

    @property
    def identity(self) -> str:
        """What the server calls the one file that was opened; empty where that were several or none."""
        return self._identities[0] if len(self._identities) == 1 else ""

    def each(self, function: Callable[[str], Result], names: list[str]) -> list[Result]:
        """Return ``function`` of every name, several at once."""
        return self.counter.each(function, names)
