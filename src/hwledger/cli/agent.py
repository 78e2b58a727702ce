"""``hwledger agent``: join a fleet, report to it, leave it."""

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from hwledger.fleet.agent.loop import Agent
    from hwledger.fleet.agent.state import Home

MODEL = r"[A-Za-z0-9][A-Za-z0-9_.-]*(?:/[A-Za-z0-9][A-Za-z0-9_.-]*)?"
SAMPLED_S = 5.0
"""Between two looks at a source that can be asked as often."""
FOLDER = click.option(
    "--folder", metavar="FOLDER", help="Of the agent; agent/ in hwledger's data folder if not given."
)


@click.group("agent")
def command() -> None:
    """Let this machine be a host of a fleet: join, run, status, forget, leave, install-service."""


@command.command("join")
@click.argument("token")
@click.option("--name", metavar="NAME", help="What to call this machine; its host name if not given.")
@click.option(
    "--wait", "minutes", type=click.FloatRange(0, 1440), default=15.0, metavar="MINUTES",
    help="How long to wait to be approved, where the token asks for that; 15 if not given.",
)  # fmt: skip
@FOLDER
def join(token: str, name: str | None, minutes: float, folder: str | None) -> None:
    """Join the fleet that TOKEN is of; hwledger token create makes one, on the server.

    The server is held to the token before it is shown the secret in it. The same command goes on where it was
    cut off.
    """
    import time

    from hwledger.cli.table import write_lines
    from hwledger.fleet.agent.entering import Joining
    from hwledger.fleet.agent.entering import join as enter
    from hwledger.fleet.agent.inventory import inventory_of
    from hwledger.fleet.wire.tokens import JoinToken
    from hwledger.telemetry.probing import probe

    read, home, made = JoinToken.read(token), _home(folder), _version()
    called = name or _host_name()
    end = time.monotonic() + 60 * minutes

    def pause(seconds: float) -> bool:
        click.echo("waits to be approved: hwledger host approve, on the server", err=True)
        time.sleep(min(seconds, max(0.0, end - time.monotonic())))
        return time.monotonic() < end

    with home.locked():
        wanted = Joining(read, called, inventory_of(probe(), called, made), made)
        joined = enter(home, wanted, pause=pause)
    if joined is None:
        write_lines(["this host waits to be approved; the same command asks again"])
        return
    write_lines(
        [
            f"joined as host {joined.host} ({called}) of {joined.trust_domain}",
            "  next     hwledger agent run, or hwledger agent install-service",
        ]
    )


@command.command("run")
@FOLDER
@click.option("--log", "level", type=click.Choice(["debug", "info", "warning", "error"]), default="info",
              help="What to log on stderr; info if not given.")  # fmt: skip
def run(folder: str | None, level: str) -> None:
    """Report to the fleet until a signal or a command ends it.

    The exit code is 0 after a signal, and 75 where the fleet told the agent to stop.
    """
    import logging
    import sys

    from hwledger.fleet.agent.assembling import Surroundings, assembled, live
    from hwledger.fleet.agent.service import STOPPED

    logging.basicConfig(level=level.upper(), format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    home = _home(folder)
    home.enrolment()
    with home.locked(), _looking() as look:
        agent = assembled(home, Surroundings(look, _version(), {"plan-fit": _plan_fit}))
        with _ending(agent):
            stopped = live(agent)
    if stopped:
        raise SystemExit(STOPPED)


@command.command("status")
@FOLDER
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (hwledger.agent/1).")
def status(folder: str | None, *, as_json: bool) -> None:
    """Show who this host is, whether its agent runs, and what waits to be sent."""
    from hwledger.cli.output import write_json
    from hwledger.cli.table import write_lines
    from hwledger.fleet.agent.status import status_of

    found = status_of(_home(folder))
    if as_json:
        write_json(found)
        return
    write_lines(
        [f"{name.replace('_', ' '):<14} {_shown(value)}" for name, value in found.items() if name != "schema"]
    )


@command.command("leave")
@FOLDER
@click.confirmation_option(prompt="Delete the keys of this host and all that waits to be sent?")
def leave(folder: str | None) -> None:
    """Delete keys, certificates and what waits to be sent; hwledger host retire tells the fleet."""
    from hwledger.cli.table import write_lines

    home = _home(folder)
    host = home.enrolment().host
    with home.locked():
        home.leave()
    write_lines([f"this machine is host {host} no more; on the server: hwledger host retire {host}"])


@command.command("forget")
@FOLDER
@click.confirmation_option(prompt="Trust whatever history the server shows next?")
def forget(folder: str | None) -> None:
    """Forget the history that was seen: an alarm is over, and the next checkpoint is taken on trust."""
    from hwledger.cli.table import write_lines
    from hwledger.fleet.agent.witness import Witness

    home = _home(folder)
    with home.locked():
        Witness(home.folder, home.enrolment().checkpoint_key).forget()
    write_lines(["the next checkpoint of the server is taken on trust"])


@command.command("install-service")
@FOLDER
@click.option("--print", "only_print", is_flag=True, help="Print the unit and change nothing.")
def install_service(folder: str | None, *, only_print: bool) -> None:
    """Write a hardened systemd unit that runs the agent, and say how to start it."""
    import os

    from hwledger.cli.table import write_lines
    from hwledger.fleet.agent.service import install, unit

    place = _folder(folder).absolute()
    if only_print:
        click.echo(unit(place, of_user=os.geteuid() != 0), nl=False)
        return
    _home(folder).enrolment()
    path, then = install(place)
    write_lines([f"wrote {path}", f"  next     {then}"])


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count} {name}" for name, count in value.items())
    return {True: "yes", False: "no", None: "-", "": "-"}.get(value, str(value))


def _folder(folder: str | None) -> "Path":
    from hwledger.library.paths import data_dir, typed

    return typed(folder) if folder else data_dir() / "agent"


def _home(folder: str | None) -> "Home":
    from hwledger.fleet.agent.state import Home

    return Home(_folder(folder))


def _version() -> str:
    from importlib.metadata import version

    return version("hwledger")


def _host_name() -> str:
    import socket

    return socket.gethostname()[:253] or "host"


def _looking() -> Any:
    """Return a context that gives what is measured now."""
    from contextlib import contextmanager

    from hwledger.telemetry.collector import Collector
    from hwledger.telemetry.samplers import installed_samplers
    from hwledger.telemetry.system import System

    @contextmanager
    def looking() -> "Iterator[Any]":
        here = System()
        with Collector(installed_samplers(here, frozenset()), system=here, interval_s=SAMPLED_S) as collector:
            collector.wait()
            yield collector.snapshot

    return looking()


def _ending(agent: "Agent") -> Any:
    """Return a context in which SIGTERM and SIGINT end an agent."""
    import signal
    import threading
    from contextlib import contextmanager

    def heard(number: int, frame: Any) -> None:
        del number, frame
        threading.Thread(target=agent.stop, daemon=True).start()  # a handler may hold no lock

    @contextmanager
    def ending() -> "Iterator[None]":
        before = {number: signal.signal(number, heard) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    return ending()


def _plan_fit(told: "Mapping[str, Any]") -> str:
    """Say whether a model of the hub or the catalogue fits on the devices of this machine as they are.

    Raises:
        UsageError: it is named otherwise: a server makes no host read a path or ask an address.
        HwledgerError: it cannot be planned.
    """
    import re

    from hwledger.app import plan
    from hwledger.errors import UsageError
    from hwledger.units import format_gib

    model = told["model"]
    if not re.fullmatch(MODEL, model):
        raise UsageError(f"{model[:80]!r} is no name of the hub or the catalogue; hosts plan no others")
    made = plan(
        model, engine=told.get("engine"), context=told.get("context"), concurrency=told.get("concurrency"),
        device="local",
    )  # fmt: skip
    verdict = made.fit.verdict.value.replace("_", " ") if made.fit else "no verdict"
    return f"{verdict}: {model} needs {format_gib(made.total_bytes)} on {made.engine} here"
