"""Measure identities: how soon a ban counts, what enrolling and checking cost.

    python benchmarks/measure_identity.py [--trials 50] [--machines 100]

Prints one JSON object. The ledger is a file (SQLite, durable), TLS is real, everything is one process on
loopback: server, agents and measurement share the processor, so times are what they are at worst.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from hwledger.errors import DeniedError
from hwledger.fleet.enrolment import ban, create_token, revoke
from hwledger.fleet.identities import check_member
from hwledger.fleet.joining import join
from hwledger.fleet.signing import new_key
from hwledger.fleet.views import projections
from hwledger.fleet.wire.tokens import JoinToken
from hwledger.ledger.sqlite import SqliteStore
from hwledger.server.agents import agents_app
from hwledger.server.enrolling import Offer, Rate, routes
from hwledger.server.tls import agents_context, public_context
from support.fleets import Connection, Host, Site, serving, site

PAGE = "/a/v1/who"


async def _who(request: Request) -> JSONResponse:
    return JSONResponse({"host": request.state.member.host})


class Hammer:
    """Asks again and again over one connection; remembers when each request began, ended, and its status."""

    def __init__(self, port: int, context: Any) -> None:
        self.heard: list[tuple[float, float, int]] = []
        self._connection = Connection(port, context)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self) -> None:
        while not self._ending.is_set():
            begun = time.perf_counter()
            try:
                status, _ = self._connection.ask(PAGE)
            except EOFError:  # the ban came between the head of an answer and its body
                return
            self.heard.append((begun, time.perf_counter(), status))

    def end(self) -> None:
        """Hang up."""
        self._ending.set()
        self._thread.join()
        self._connection.close()


def _trial(here: Site, folder: Path, port: int, host: Host, end: Callable[[], None]) -> dict[str, float]:
    context = host.context(folder, here.authorities.server_trust())
    first = Connection(port, context)
    first.ask(PAGE)
    session = first.socket.session
    hammer = Hammer(port, context)
    while len(hammer.heard) < 20:  # it is warm
        time.sleep(0.001)
    before = time.perf_counter()
    end()
    after = time.perf_counter()
    found = {"decided": after - before}
    for name, resumed in (("new", None), ("resumed", session)):
        connection = Connection(port, context, resumed)
        if resumed is not None and not connection.socket.session_reused:
            raise SystemExit("the connection was not resumed")
        status, _ = connection.ask(PAGE)
        found[name] = time.perf_counter() - before if status == 403 else float("inf")
        connection.close()
    hammer.end()
    first.close()
    served = [(begun, ended) for begun, ended, status in hammer.heard if status == 200]
    found["open"] = max(0.0, served[-1][1] - before)
    found["late"] = float(sum(begun > after for begun, _ in served))
    return found


def revocation(here: Site, folder: Path, trials: int) -> dict[str, Any]:
    """Return how long after the call open, new and resumed connections were refused."""
    app, context = (
        agents_app(here.fleet, here.authorities, [Route(PAGE, _who)]),
        agents_context(here.authorities, ["127.0.0.1"]),
    )
    context.num_tickets = 2  # the server gives none; so that there is a resumed connection to measure
    found = []
    with serving(app, context) as port:
        for number in range(trials):
            host = here.host()

            def end(number: int = number, host: Host = host) -> None:
                if number % 2:
                    ban(here.fleet, host.id, reason="measured", actor="user:anna")
                else:
                    revoke(here.fleet, host.member.serial, reason="measured", actor="user:anna")

            found.append(_trial(here, folder, port, host, end))
    told: dict[str, Any] = {"trials": trials, "served_after_it_returned": sum(one["late"] for one in found)}
    for name in ("decided", "open", "new", "resumed"):
        times = sorted(one[name] * 1000 for one in found)
        told[f"{name}_ms"] = {"median": round(times[len(times) // 2], 1), "worst": round(times[-1], 1)}
    return told


def enrolling(here: Site, machines: int) -> dict[str, Any]:
    """Return how many of so many machines one token lets in, and what each costs the processor."""
    app = Starlette(
        routes=routes(here.fleet, here.authorities, Offer(":1", "x+0a0b0c0d+AQID"), Rate(1e6, 10**6))
    )
    answers: list[str] = []
    with serving(app, public_context(here.authorities, ["127.0.0.1"])) as port:
        made = create_token(here.fleet, address=f"127.0.0.1:{port}", actor="user:anna")
        token, barrier = JoinToken.read(made.text), threading.Barrier(machines)

        def ask() -> None:
            key = new_key()
            barrier.wait()
            try:
                found = join(
                    token, key, name="box", machine="ab" * 32, inventory={}, version="1", seconds=60.0
                )
                answers.append(found.state)
            except DeniedError:
                answers.append("refused")

        threads = [threading.Thread(target=ask) for _ in range(machines)]
        begun, cpu = time.perf_counter(), time.process_time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    return {
        "machines": machines, "let_in": answers.count("active"), "refused": answers.count("refused"),
        "seconds": round(seconds, 2), "cpu_ms_a_machine": round(cpu / machines * 1000, 1),
    }  # fmt: skip


def _cpu_us(job: Callable[[], Any], count: int) -> float:
    best = float("inf")
    for _ in range(5):
        begun = time.process_time()
        for _ in range(count):
            job()
        best = min(best, time.process_time() - begun)
    return round(best / count * 1e6, 1)


def costs(here: Site) -> dict[str, float]:
    """Return CPU time of one check of a request, and of signing one certificate."""
    host, key = here.host(), new_key().public_key()
    der = host.der
    return {
        "check_us": _cpu_us(lambda: check_member(here.fleet, der, PAGE), 5000),
        "issue_us": _cpu_us(lambda: here.authorities.issue(host.id, key, bytes(range(16))), 200),
    }


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--trials", type=int, default=50)
    options.add_argument("--machines", type=int, default=100)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with SqliteStore(folder / "ledger.db", projections=projections()) as store:
            here = site(folder, store)
            found = {
                "revocation": revocation(here, folder, chosen.trials),
                "enrolling": enrolling(here, chosen.machines), "costs": costs(here),
            }  # fmt: skip
    sys.stdout.write(f"{json.dumps(found, indent=1)}\n")


if __name__ == "__main__":
    main()
