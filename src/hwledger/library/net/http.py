"""The one HTTP client: guarded, counted, patient with busy servers, and every failure one sentence."""

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import httpx2

from hwledger.errors import (
    OfflineError,
    UnreachableError,
    UsageError,
)
from hwledger.library.access import Access, offline_words
from hwledger.library.json_file import parse_json
from hwledger.library.net.certificates import certificates
from hwledger.library.net.guard import (
    LARGEST_REPLY,
    BusyError,
    Deadline,
    check_encoding,
    check_scheme,
    limit_body,
)
from hwledger.library.net.replies import Explain, Part, after_s, busy_words, check, plain, read_part

TRIES: Final = 4
LONGEST_WAIT_S: Final = 60.0
MOST_REDIRECTS: Final = 8
CONNECT_S: Final = 10.0
READ_S: Final = 30.0
BUSY: Final = frozenset({429, 502, 503, 504})
Result = TypeVar("Result")
PASSING: Final = (httpx2.RemoteProtocolError, httpx2.ReadError)
"""Failures that another try may not meet: a connection that broke off."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A token and the one origin (scheme, host, port) that may see it."""

    url: str
    token: str


class LostError(Exception):
    """A request that never got a whole reply; ``error`` is the client's own.

    It is no kind of the client's errors, so that no library on top of the client tries again by itself: one
    place decides on that.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class _Client(httpx2.Client):
    """A client whose failures are all ``LostError``."""

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        try:
            return super().send(request, **options)
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, ssl.SSLError, UnicodeError) as error:
            raise LostError(error) from None


class Http:
    """A client for one reading; closes with it.

    Args:
        access: how long it may take, and whether the network may be used.
        credential: a token and who may see it.
        near: it asks a program that answers at once or not at all: no proxy, no redirect, no second try.

    Attributes:
        requests: requests that were sent, redirects included.
        bytes_read: bytes of all bodies.
        on_bytes: is told after every piece that came.
        on_busy: what a sentence about a server that stays busy ends with.
    """

    def __init__(self, access: Access, credential: Credential | None = None, *, near: bool = False) -> None:
        self.requests = 0
        self.bytes_read = 0
        self.on_bytes: Callable[[], None] = _nothing
        self.on_busy = ""
        self._access = access
        self._near = near
        self._lock = threading.Lock()
        self._token = f"Bearer {credential.token}" if credential else ""
        self._origin = _url(credential.url).origin if credential else None
        self._deadline = Deadline(access.time_limit_s)
        self.client = self._make_client()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadline.cancel()
        self.client.close()

    def fetch(self, url: str, limit: int = LARGEST_REPLY, explain: Explain | None = None) -> bytes:
        """Return the whole body at ``url``.

        Raises:
            MissingError: nothing is there.
            DeniedError: it is not for us.
            UnreachableError: no answer, an error, or more than ``limit`` bytes.
        """

        def ask() -> bytes:
            with self._stream(url, {}, limit) as response:
                check(response, explain)
                return response.read()

        return self.trying(url, ask)

    def fetch_json(self, url: str, limit: int = LARGEST_REPLY, body: Any = None) -> Any:
        """Return the JSON value at ``url``, asked for with ``body`` posted where it is given.

        Raises:
            MalformedError: the reply is no JSON.
            MissingError, DeniedError, UnreachableError: as ``fetch``.
        """

        def ask() -> bytes:
            method = "GET" if body is None else "POST"
            with self._stream(url, {}, limit, method, body) as response:
                check(response, None)
                return response.read()

        return parse_json(self.trying(url, ask), plain(url))

    def part(self, url: str, start: int, size: int, explain: Explain | None = None) -> Part:
        """Return up to ``size`` bytes of the file at ``url`` from ``start`` on.

        A server that would send the whole file instead is refused before it does.

        Raises:
            MissingError: nothing is there.
            DeniedError: it is not for us.
            UnreachableError: no answer, an error, or a reply that is not the part.
        """

        def ask() -> Part:
            headers = {"Range": f"bytes={start}-{start + size - 1}"}
            with self._stream(url, headers, size) as response:
                return read_part(response, start, size, explain)

        return self.trying(url, ask)

    def cut(self) -> None:
        """Let go of every connection at once: nothing more is read with this client."""
        self._deadline.cut()

    def trying(self, what: str, ask: Callable[[], Result]) -> Result:
        """Return what ``ask`` gives; a busy server is asked again after the time that it names.

        Raises:
            UnreachableError: no usable answer after several tries or within the time limit.
            HwledgerError: as ``ask``.
        """
        if self._access.offline:
            raise OfflineError(f"{plain(what)} is not asked: the network is switched off ({offline_words()})")
        for attempt in range(1, TRIES + 1):
            try:
                return ask()
            except BusyError as busy:
                if self._near:
                    raise UnreachableError(f"{busy.what}; ask again later") from None
                self._wait(busy, attempt)
                if self._deadline.passed:
                    raise self._failed(what, busy) from None
            except (LostError, httpx2.HTTPError, httpx2.StreamError) as error:
                lost = error.error if isinstance(error, LostError) else error
                if attempt > 1 or self._near or self._deadline.passed or not isinstance(lost, PASSING):
                    raise self._failed(what, lost) from None
        raise UnreachableError(f"{plain(what)} is busy; {TRIES} tries did not get through, ask again later")

    def _wait(self, busy: BusyError, attempt: int) -> None:
        seconds = busy.after_s if busy.after_s is not None else float(2 ** (attempt - 1))
        if seconds > LONGEST_WAIT_S or attempt == TRIES:
            when = f"in {seconds:,.0f} s" if busy.after_s is not None else "later"
            tried = f" after {attempt} tries" if attempt > 1 else ""
            raise UnreachableError(f"{busy.what}{tried}; ask again {when}{self.on_busy}")
        self._access.say(f"{busy.what}; asking again in {seconds:,.0f} s")
        self._deadline.pause(seconds)

    def _failed(self, what: str, error: Exception) -> UnreachableError:
        if self._deadline.passed:
            return UnreachableError(
                f"{plain(what)} was given up after {self._deadline.seconds:,.0f} s: the server is too slow"
            )
        return UnreachableError(f"{plain(what)} cannot be reached ({_brief(error)}); {_advice(error)}")

    @contextlib.contextmanager
    def _stream(
        self, url: str, headers: Mapping[str, str], limit: int, method: str = "GET", body: Any = None
    ) -> Iterator[httpx2.Response]:
        with self.client.stream(
            method, _url(url), headers=dict(headers), json=body, extensions={"hwledger_limit": limit}
        ) as response:
            yield response

    def _make_client(self) -> httpx2.Client:
        try:
            return _Client(
                verify=certificates(),
                follow_redirects=not self._near,
                trust_env=not self._near,
                max_redirects=MOST_REDIRECTS,
                timeout=httpx2.Timeout(READ_S, connect=CONNECT_S),
                headers={"User-Agent": f"hwledger/{version('hwledger')}", "Accept-Encoding": "identity"},
                event_hooks={"request": [self._before], "response": [self._after]},
            )
        except ImportError:
            raise UsageError(
                "a SOCKS proxy of the environment (ALL_PROXY) needs one more package; run:"
                " pip install 'hwledger[socks]'"
            ) from None
        except (ValueError, httpx2.InvalidURL) as error:
            raise UsageError(f"the proxy settings of the environment cannot be used: {error}") from None

    def _before(self, request: httpx2.Request) -> None:
        """Count the request, watch its connection, and show the token to its own origin alone."""
        with self._lock:
            self.requests += 1
        request.extensions = {**request.extensions, "trace": self._deadline.watch}
        request.headers["Accept-Encoding"] = "identity"
        if self._origin is not None:
            request.headers.pop("Authorization", None)
            if request.url.origin == self._origin:
                request.headers["Authorization"] = self._token

    def _after(self, response: httpx2.Response) -> None:
        check_scheme(response)
        limit_body(response, self._count)
        if response.status_code in BUSY:
            raise BusyError(
                f"{response.request.url.host} {busy_words(response.status_code)}", after_s(response)
            )
        check_encoding(response)

    def _count(self, size: int) -> None:
        with self._lock:
            self.bytes_read += size
        self.on_bytes()


def _nothing() -> None:
    return


def _url(text: str) -> httpx2.URL:
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, ValueError, TypeError):
        raise UsageError(f"{text[:200]!r} is no address of a server") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise UsageError(f"{plain(text)!r} is no http or https address")
    return url


def _advice(error: Exception) -> str:
    """Return what to do about a connection that failed."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "where you trust it, name its certificate or your company's with SSL_CERT_FILE=FILE.pem"
    if isinstance(error, httpx2.TooManyRedirects):
        return "its redirects lead nowhere; is the address right?"
    if isinstance(error, httpx2.ReadTimeout):
        return "it takes the question and answers nothing; is it busy or hung?"
    if isinstance(error, httpx2.RemoteProtocolError):
        return "what it answers is no HTTP; is the address, with its port, right?"
    return "is it running, is there a network?"


def _brief(error: Exception) -> str:
    text = " ".join(str(error).split())[:160]
    return text or type(error).__name__
