"""Folders behind a server: files by their addresses, several read side by side, with progress."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeVar
from urllib.parse import quote, unquote

from hwledger.library.access import Access, Progress
from hwledger.library.files import ByteFile
from hwledger.library.net.http import Http
from hwledger.library.net.remote_file import RemoteFile
from hwledger.library.net.replies import plain

SIDE_BY_SIDE: Final = 16
Result = TypeVar("Result")


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
        """Return ``function`` of every name, in order, several at once; the first error ends all."""
        self._done, self._files = 0, len(names)
        pool = ThreadPoolExecutor(max_workers=max(1, min(SIDE_BY_SIDE, len(names))))
        try:
            return list(pool.map(lambda name: self._counted(function, name), names))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

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
        self.counter = Counter(http, access, self.first)
        self._http = http

    def sizes(self) -> Mapping[str, int]:
        """Return the one file that is known to be there: a web server lists nothing."""
        return {self.first: 0}

    @contextmanager
    def open(self, name: str) -> Iterator[ByteFile]:
        """Open a file for reading in parts."""
        self.counter.opened += 1
        yield RemoteFile(self._http, f"{self._base}/{quote(name)}{self._mark}{self._query}")

    def each(self, function: Callable[[str], Result], names: list[str]) -> list[Result]:
        """Return ``function`` of every name, several at once."""
        return self.counter.each(function, names)
