"""Send damaged requests to the public and the agents' port over real TLS.

    python tests/faults/spoil_requests.py [--seconds 60] [--seed 1]

Prints how many there were and what came of them: an answer, a hang-up, or a wait for the rest. Ends with 1
where the server logged a fault of its own, let somebody in, or does not answer at the end.
"""

import argparse
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import orjson
from starlette.applications import Starlette

from hwledger.fleet.signing import make_request, new_key
from hwledger.server.agents import agents_app
from hwledger.server.enrolling import Offer, Rate, routes
from hwledger.server.tls import agents_context, public_context
from support.fleets import Connection, Host, Site, client_context, serving, site

NOISE = b'\r\n :,;%\x00\xffAx0{}[]"'


def damaged(raw: bytes, chance: random.Random) -> bytes:
    """Return bytes with a few changed, taken out or put in."""
    found = bytearray(raw)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        at, how = chance.randrange(len(found)), chance.random()
        if how < 0.6:
            found[at] = chance.randrange(256)
        elif how < 0.8:
            del found[at : at + chance.choice((1, 2, 20))]
        else:
            found[at:at] = bytes(chance.choices(NOISE, k=chance.choice((1, 2, 5))))
    return bytes(found)


def _posted(page: str, message: object) -> bytes:
    body = orjson.dumps(message)
    return f"POST {page} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _requests(here: Site, host: Host) -> list[bytes]:
    head = b"POST /a/v1/renew HTTP/1.1\r\nHost: x\r\n"
    chunked = b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n2\r\n1}\r\n0\r\n\r\n'
    asked = here.request(here.token(), new_key()).document()
    return [
        _posted("/v1/enrol", {**asked, "token": "A" * 43}),
        _posted("/v1/renew-with-proof", {"host": host.id}),
        _posted("/a/v1/renew", {"csr": make_request(host.key)}), b"GET /ca HTTP/1.1\r\nHost: x\r\n\r\n",
        head + chunked,
    ]  # fmt: skip


def _outcome(port: int, context: Any, raw: bytes) -> str:
    try:
        connection = Connection(port, context)
        try:
            connection.socket.settimeout(0.5)
            connection.socket.sendall(raw)
            return str(connection.answer()[0])
        finally:
            connection.close()
    except TimeoutError:
        return "waits for more"
    except (OSError, EOFError, ValueError, IndexError):
        return "hung up"


def main() -> int:
    """Send until the time is over; return the exit code."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    chance, outcomes, faults = random.Random(chosen.seed), Counter[str](), _Faults()
    logging.getLogger().addHandler(faults)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        here = site(folder)
        host, trust = here.host(), here.authorities.server_trust()
        app = Starlette(routes=routes(here.fleet, here.authorities, Offer(":1", "x"), Rate(1e6, 10**6)))
        members, before = agents_app(here.fleet, here.authorities), here.kinds()
        with (
            serving(app, public_context(here.authorities, ["127.0.0.1"])) as public,
            serving(members, agents_context(here.authorities, ["127.0.0.1"])) as agents,
        ):
            ports = ((public, client_context(folder, trust)), (agents, host.context(folder, trust)))
            requests, end = _requests(here, host), time.monotonic() + chosen.seconds
            while time.monotonic() < end:
                outcomes[_outcome(*chance.choice(ports), damaged(chance.choice(requests), chance))] += 1
            alive = _outcome(*ports[0], requests[3]) == "200"
        quiet = here.kinds() == [*before, "token.created"]
    sys.stdout.write(f"{sum(outcomes.values())} damaged requests: {dict(outcomes)}\n{faults.told[:1]}\n")
    return 0 if alive and quiet and not faults.told else 1


class _Faults(logging.Handler):
    """What the server logged as a fault of its own."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.told.append(self.format(record))


if __name__ == "__main__":
    sys.exit(main())
