"""A server and an agent in processes of their own, whose clocks are off by what a file says (libfaketime).

``python -m support.shifted server|agent FOLDER`` takes one request a line, JSON, and answers with one line.
"""

import json
import os
import subprocess
import sys
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

_WHERE = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1")
TESTS = Path(__file__).parent.parent


def library() -> Path:
    """Return libfaketime; skip the test where it is not installed."""
    found = next((path for glob in _WHERE for path in Path("/").glob(glob[1:])), None)
    if found is None:
        pytest.skip("clocks are set off with libfaketime; install Debian's faketime")
    return found


class Shifted:
    """A process whose clock can be moved while it runs."""

    def __init__(self, role: str, folder: Path, offset: str = "+0") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._clock = folder / "clock"
        self.shift(offset)
        more = {
            "LD_PRELOAD": str(library()), "FAKETIME_TIMESTAMP_FILE": str(self._clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "PYTHONPATH": str(TESTS),
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.shifted", role, str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | more,
        )  # fmt: skip

    def shift(self, offset: str) -> None:
        """Set the clock off the real time: ``+2d``, ``-600``."""
        self._clock.write_text(f"{offset}\n")

    def ask(self, what: str, **more: Any) -> Any:
        """Return what the process answers."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"what": what, **more}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the {what} was not answered"
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        with suppress(OSError):
            self._process.stdin.close()
        self._process.wait(30)
        if self._process.stdout:
            self._process.stdout.close()


class Server:
    """The public and the agents' listener over a ledger in a file."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        from starlette.applications import Starlette  # noqa: PLC0415 - in the process alone
        from starlette.requests import Request  # noqa: PLC0415
        from starlette.responses import JSONResponse  # noqa: PLC0415
        from starlette.routing import Route  # noqa: PLC0415

        from hwledger.fleet.certificates import Authorities  # noqa: PLC0415
        from hwledger.fleet.context import Fleet  # noqa: PLC0415
        from hwledger.fleet.views import projections  # noqa: PLC0415
        from hwledger.ledger.sqlite import SqliteStore  # noqa: PLC0415
        from hwledger.server.agents import agents_app  # noqa: PLC0415
        from hwledger.server.enrolling import Offer, routes  # noqa: PLC0415
        from hwledger.server.tls import agents_context, public_context  # noqa: PLC0415
        from support.fleets import serving  # noqa: PLC0415

        async def who(request: Request) -> JSONResponse:
            return JSONResponse({"host": request.state.member.host})

        self._file = folder / "ledger.db"
        store = SqliteStore(self._file, projections=projections())
        stack.callback(store.close)
        self._fleet = Fleet(store, folder, "example.org")
        self._own = Authorities.open(folder, "example.org", self._fleet.clock)
        self._contexts = [make(self._own, ["127.0.0.1"]) for make in (public_context, agents_context)]
        offer = Offer(":1", "x+0a0b0c0d+AQID")  # the port is known once it is served
        agents = agents_app(self._fleet, self._own, [Route("/a/v1/who", who)], offer)
        self._agents = stack.enter_context(serving(agents, self._contexts[1]))
        offer = replace(offer, agents_address=f":{self._agents}")
        public = Starlette(routes=routes(self._fleet, self._own, offer))
        self._public = stack.enter_context(serving(public, self._contexts[0]))

    def token(self) -> str:
        """Return a new join token."""
        from hwledger.fleet.enrolment import create_token  # noqa: PLC0415

        return create_token(self._fleet, address=f"127.0.0.1:{self._public}", actor="user:anna").text

    def roll(self) -> None:
        """Make the next generation of authorities."""
        self._own.roll()
        self.tend()

    def tend(self) -> None:
        """Do what a server does once an hour."""
        from hwledger.server.tls import renew_server, trust_agents  # noqa: PLC0415

        for context in self._contexts:
            renew_server(context, self._own, ["127.0.0.1"])
        trust_agents(self._contexts[1], self._own)

    def ledger(self) -> list[Any]:
        """Return sequence number, time and type of each event; raise where the chain is not whole."""
        from hwledger.ledger.chain import Head, follow  # noqa: PLC0415
        from hwledger.ledger.event import event_of  # noqa: PLC0415

        entries = self._fleet.store.read(limit=10_000)
        follow(Head(), entries)
        found = [(entry.seq, event_of(entry.body)) for entry in entries]
        return [[seq, event.time_microseconds, event.type.split(".", 1)[1]] for seq, event in found]


class Agent:
    """What an agent keeps, in memory: its key, its certificate and where to go."""

    def __init__(self, folder: Path, _stack: ExitStack) -> None:
        self._folder = folder
        self._public, self._port = "", 0
        self._key: Any = None
        self._answer: Any = None

    def join(self, token: str) -> str:
        """Join; return the id."""
        from hwledger.fleet.joining import join  # noqa: PLC0415
        from hwledger.fleet.signing import new_key  # noqa: PLC0415
        from hwledger.fleet.wire.tokens import JoinToken, address_text  # noqa: PLC0415

        read, self._key = JoinToken.read(token), new_key()
        self._public = address_text(read.host, read.port)
        said: dict[str, Any] = {"name": "box", "machine": "ab" * 32, "inventory": {}, "version": "1"}
        self._answer = join(read, self._key, **said)
        self._port = int(self._answer.agents_address.rpartition(":")[2])
        return str(self._answer.host)

    def come_back(self) -> str:
        """Get the next certificate with proof of the key."""
        from hwledger.fleet.joining import come_back  # noqa: PLC0415
        from hwledger.fleet.signing import new_key  # noqa: PLC0415

        key = new_key()
        self._answer = come_back(self._public, self._answer.authorities, self._answer.host, self._key, key)
        self._key = key
        return str(self._answer.host)

    def renew(self) -> int:
        """Get the next certificate on the agents' port; return how many authorities it comes with."""
        from hwledger.fleet.joining import checked  # noqa: PLC0415
        from hwledger.fleet.signing import make_request, new_key  # noqa: PLC0415
        from hwledger.fleet.wire.enrolment import EnrolAnswer  # noqa: PLC0415

        key = new_key()
        status, told = self._asked("/a/v1/renew", "POST", {"csr": make_request(key)})
        if status != 201:  # Created
            raise ConnectionError(f"not renewed: {status} {told}")
        self._answer, self._key = checked(EnrolAnswer.read(told), key, "127.0.0.1"), key
        return int(self._answer.authorities.count("BEGIN"))

    def who(self) -> Any:
        """Return status and answer on the agents' port; 0: refused in the handshake."""
        return self._asked("/a/v1/who", "GET", None)

    def _asked(self, page: str, method: str, body: Any) -> Any:
        import ssl  # noqa: PLC0415

        from hwledger.fleet.joining import server_context  # noqa: PLC0415
        from hwledger.fleet.signing import key_pem  # noqa: PLC0415
        from support.fleets import Connection  # noqa: PLC0415

        context = server_context(self._answer.authorities)
        path = self._folder / "shown.pem"
        path.write_bytes(key_pem(self._key) + self._answer.certificate.encode())
        context.load_cert_chain(path)
        try:
            connection = Connection(self._port, context)
            try:
                return connection.ask(page, method, body)
            finally:
                connection.close()
        except (ssl.SSLError, OSError, EOFError) as error:  # asyncio sends no alert when a handshake fails
            return 0, type(error).__name__


def main(role: str, folder: Path) -> None:
    """Answer line by line until the input ends."""
    made: Callable[[Path, ExitStack], Any] = Server if role == "server" else Agent
    with ExitStack() as stack:
        own = made(folder, stack)
        for line in sys.stdin:
            asked = json.loads(line)
            try:
                answer = getattr(own, asked.pop("what"))(**asked)
            except Exception as error:  # noqa: BLE001 - it is told to who asks
                answer = {"error": type(error).__name__, "detail": str(error)}
            print(json.dumps(answer), flush=True)  # noqa: T201 - this is how it answers


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
