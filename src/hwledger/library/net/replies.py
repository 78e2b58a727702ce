"""What a server's reply means: a part of a file, another try later, or one sentence."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import httpx2

from hwledger.errors import DeniedError, HwledgerError, MissingError, UnreachableError
from hwledger.units import whole_number

BEYOND_THE_END: Final = 416
Explain = Callable[[httpx2.Response], HwledgerError | None]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a remote file.

    Attributes:
        data: the bytes.
        total: bytes of the whole file.
        etag: what the server calls this content; empty where it does not say.
        url: address that answered, after redirects.
    """

    data: bytes
    total: int
    etag: str
    url: str


def plain(url: str) -> str:
    """Return an address without user, password, query and fragment, for sentences."""
    try:
        parts = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError):
        return url[:200]
    if not parts.host:
        return url[:200]
    return str(parts.copy_with(username=None, password=None, query=None, fragment=None))[:300]


def check(response: httpx2.Response, explain: Explain | None) -> None:
    """Raise the error of a reply that is none of the wanted ones.

    Raises:
        MissingError, DeniedError, UnreachableError: by its status.
    """
    status = response.status_code
    if status in {200, 206}:
        return
    explained = explain(response) if explain else None
    where = plain(str(response.request.url))
    if explained:
        raise explained
    if status in {401, 403, 407}:
        raise DeniedError(f"{where} answers {status}: it wants a token or a right that was not given")
    if status in {404, 410}:
        raise MissingError(f"{where}: the server has nothing there (it answers {status})")
    raise UnreachableError(f"{where} answers {status} {_words(response.reason_phrase)}".rstrip())


def read_part(response: httpx2.Response, start: int, size: int, explain: Explain | None) -> Part:
    """Return the part of a file that a reply to a range request holds.

    Raises:
        MissingError, DeniedError, UnreachableError: it holds something else.
    """
    where, etag = plain(str(response.request.url)), response.headers.get("etag", "")
    if response.status_code == BEYOND_THE_END:
        raise UnreachableError(f"{where}: the file is shorter than the server said; was it replaced?")
    check(response, explain)
    if response.status_code == HTTPStatus.OK:
        length = number(response.headers.get("content-length", ""))
        if start or length is None or length > size:
            much = f" of {length:,} bytes" if length else ""
            raise UnreachableError(
                f"{where}: the server ignores range requests and would send the whole file{much};"
                " download it first"
            )
        return _whole(Part(response.read(), length, etag, str(response.url)), length, where)
    first, last, total = _content_range(response, where)
    if first != start or not first <= last < first + size or last >= total:
        raise UnreachableError(f"{where}: the server sends another part than the one that was asked for")
    return _whole(Part(response.read(), total, etag, str(response.url)), last - first + 1, where)


def _whole(part: Part, size: int, where: str) -> Part:
    if len(part.data) != size:
        raise UnreachableError(
            f"{where}: the server sends {len(part.data):,} bytes where it promised {size:,}"
        )
    return part


def _content_range(response: httpx2.Response, where: str) -> tuple[int, int, int]:
    unit, _, rest = response.headers.get("content-range", "").partition(" ")
    span, _, total = rest.partition("/")
    first, _, last = span.partition("-")
    numbers = [number(text) for text in (first, last, total)]
    if unit.lower() != "bytes" or None in numbers:
        raise UnreachableError(f"{where}: the server sends a part and does not say which of how many bytes")
    return numbers[0] or 0, numbers[1] or 0, numbers[2] or 0


def number(text: str) -> int | None:
    """Return the whole number that a header states, or ``None``."""
    return whole_number(text.strip())


def busy_words(status: int) -> str:
    """Return what a busy status says."""
    limited = status == HTTPStatus.TOO_MANY_REQUESTS
    return "limits the rate of requests (429)" if limited else f"is busy ({status})"


def after_s(response: httpx2.Response) -> float | None:
    """Return the seconds to wait, as ``Retry-After`` or the hub's ``RateLimit: "api";r=0;t=55`` say them."""
    fields = response.headers.get("ratelimit", "").split(";")
    reset = dict(part.strip().partition("=")[::2] for part in fields).get("t", "")
    stated = number(response.headers.get("retry-after", ""))
    seconds = stated if stated is not None else number(reset)
    return None if seconds is None else float(seconds)


def _words(said: str) -> str:
    """Return what a server says in words, cut and without what a terminal would act on."""
    return "".join(char for char in said[:60] if char.isprintable())
