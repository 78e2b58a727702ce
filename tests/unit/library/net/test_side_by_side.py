"""Several files of a server at once: in order, and left at the first error or interrupt."""

from collections.abc import Iterator
from queue import Queue
from threading import Event

import pytest

from hwledger.errors import UnreachableError
from hwledger.library.access import Access
from hwledger.library.net.http import Http
from hwledger.library.net.remote_files import SIDE_BY_SIDE, Counter, side_by_side
from support.web_server import Reply, Request, WebServer

pytestmark = pytest.mark.requirement("NFR-SRC-SAFE")
LONG_S = 60.0


@pytest.fixture
def held() -> Iterator[Event]:
    """What a slow server waits for; it is let go at the end of the test."""
    event = Event()
    yield event
    event.set()


def test_results_are_in_order() -> None:
    """More names than threads, none at all, and one."""
    names = [str(number) for number in range(3 * SIDE_BY_SIDE)]
    assert side_by_side(str.upper, names) == names
    assert side_by_side(int, []) == []
    assert side_by_side(int, ["7"]) == [7]


def test_the_first_error_is_raised_though_an_earlier_name_hangs(held: Event) -> None:
    """An error does not wait for what was asked before it, and the names after it are not begun."""
    begun: Queue[str] = Queue()

    def ask(name: str) -> str:
        begun.put(name)
        if name == "1":
            raise UnreachableError("gone")
        held.wait(LONG_S)
        return name

    with pytest.raises(UnreachableError, match="gone"):
        side_by_side(ask, [str(number) for number in range(100)])
    assert begun.qsize() <= SIDE_BY_SIDE + 1


@pytest.mark.enable_socket
@pytest.mark.parametrize("leaving", [KeyboardInterrupt, UnreachableError])
def test_whoever_leaves_cuts_the_connections_of_a_slow_server(
    held: Event, leaving: type[BaseException]
) -> None:
    """The thread that reads is let go at once, is not asked again, and nobody waits for the server."""
    asked, ended = Event(), Queue[Exception]()

    def answer(_: Request) -> Reply:
        asked.set()
        held.wait(LONG_S)
        return Reply(200, {}, b"late")

    with WebServer({"/slow": answer}) as server, Http(Access()) as http:

        def read(name: str) -> None:
            if name == "leaves":
                asked.wait(LONG_S)
                raise leaving("enough")
            try:
                http.part(f"{server.url}/{name}", 0, 10)
            except UnreachableError as error:
                ended.put(error)

        with pytest.raises(leaving, match="enough"):
            Counter(http, Access(), "x").each(read, ["slow", "leaves"])
        assert isinstance(ended.get(timeout=LONG_S / 2), UnreachableError)
        assert http.requests == 1
        held.set()


@pytest.mark.enable_socket
def test_a_busy_server_is_not_waited_for_after_a_cut() -> None:
    """The pause before another try ends with the reading."""
    said: Queue[str] = Queue()
    with (
        WebServer(elsewhere=Reply(503, {"Retry-After": "50"}, b"")) as server,
        Http(Access(say=said.put)) as http,
    ):

        def read(name: str) -> bytes:
            if name == "leaves":
                said.get(timeout=LONG_S)
                raise KeyboardInterrupt
            return http.fetch(f"{server.url}/{name}")

        with pytest.raises(KeyboardInterrupt):
            Counter(http, Access(), "x").each(read, ["busy", "leaves"])
        assert http.requests == 1
