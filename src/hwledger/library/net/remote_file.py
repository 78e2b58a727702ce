"""A file behind a server as the header readers see it: parts on request, never the whole."""

from typing import Final

from hwledger.errors import DeniedError, MalformedError, MissingError, UnreachableError
from hwledger.library.files import Buffer
from hwledger.library.net.http import Http
from hwledger.library.net.replies import Explain, Part, plain

FIRST_PART: Final = 128 << 10
MOST_BYTES: Final = 256 << 20
"""No header is longer; a server that goes on for ever is stopped here."""


class RemoteFile:
    """The file at one address; satisfies ``ByteFile``.

    Args:
        http: the client.
        url: the address.
        where: name for sentences; the address without its query where empty.
        size: bytes of the file where they are known; else the first part tells.
        explain: turns a refusal into a better sentence.

    Raises:
        MissingError, DeniedError, UnreachableError: as ``Http.part``, where ``size`` is not known.
    """

    def __init__(
        self, http: Http, url: str, where: str = "", size: int | None = None, explain: Explain | None = None
    ) -> None:
        self.where = where or plain(url)
        self._http = http
        self._url = url
        self._answers = url
        self._explain = explain
        self._start = 0
        self._held: bytes = b""
        self._etag = ""
        self._fetched = 0
        self.size = -1 if size is None else size
        if size is None:
            self._hold(0, FIRST_PART)

    @property
    def identity(self) -> str:
        """What the server calls this content, with its size; empty where no tag of it stands for bytes."""
        return f"{self._etag}|{self.size}" if self._etag.startswith('"') else ""

    def read(self, offset: int, least: int, wanted: int = 0) -> Buffer:
        """Return bytes from ``offset`` on, from what is held where that is enough."""
        if not (self._start <= offset and offset + least <= self._start + len(self._held)):
            self._hold(offset, min(max(least, wanted), self.size - offset))
        found = memoryview(self._held)[offset - self._start :]
        if len(found) < least:
            raise UnreachableError(f"{self.where}: the server sends less than it promised")
        return found

    def _hold(self, offset: int, size: int) -> None:
        self._fetched += size
        if self._fetched > MOST_BYTES:
            raise MalformedError(
                f"{self.where}: its header goes on beyond {MOST_BYTES >> 20} MiB; no model's does"
            )
        part = self._part(offset, size)
        if self.size not in {-1, part.total} or self._etag not in {"", part.etag}:
            raise UnreachableError(f"{self.where}: the file changed while it was read; ask again")
        self.size, self._etag, self._answers = part.total, part.etag, part.url
        self._start, self._held = offset, part.data

    def _part(self, offset: int, size: int) -> Part:
        """Ask the address that answered last; a signed one that has expired is asked for anew."""
        if self._answers != self._url:
            try:
                return self._http.part(self._answers, offset, size)
            except (DeniedError, MissingError):
                pass
        return self._http.part(self._url, offset, size, self._explain)
