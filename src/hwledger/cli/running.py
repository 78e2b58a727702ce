"""What is shown while a model runs: text for people, or a JSON document a line."""

import json
import sys
from contextlib import suppress
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from hwledger.reconcile.term import Reconciliation
    from hwledger.runner.engine import Event, Running
    from hwledger.running import Prepared

SCHEMA = "hwledger.run/1"


class Shown(Protocol):
    """Shows what happens, in this order."""

    def plan(self, prepared: "Prepared") -> None:
        """Show what is going to run."""
        ...

    def starting(self, prepared: "Prepared", run: str = "") -> None:
        """Show that the engine starts; ``run``: the id that it is on record under, if it is."""
        ...

    def ready(self, running: "Running") -> None:
        """Show that it holds the model."""
        ...

    def event(self, event: "Event") -> None:
        """Show a piece of the answer, or how far it is."""
        ...

    def broken_off(self) -> None:
        """Show that the answer ends in the middle; why is said elsewhere."""
        ...

    def reconciled(self, found: "Reconciliation") -> None:
        """Show predicted beside measured."""
        ...

    def recorded(self, run: str) -> None:
        """Show that the run is on record."""
        ...

    def trouble(self, sentence: str) -> None:
        """Show what went wrong beside the run."""
        ...


def shown_as(*, as_json: bool) -> Shown:
    """Return what shows a run."""
    return Lines() if as_json else Text()


class Text:
    """The answer on the standard output, all else on stderr."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._drawn = False
        self._open: IO[str] | None = None

    def plan(self, prepared: "Prepared") -> None:
        """Write what is going to run."""
        from hwledger.screens.run import plan_line

        self._say(plan_line(prepared))

    def starting(self, prepared: "Prepared", run: str = "") -> None:
        """Write how it fits, and draw that the engine starts where somebody looks."""
        from hwledger.screens.run import room_line

        del run
        self._say(room_line(prepared))
        self._draw(f"{prepared.engine.title} loads the model …")

    def ready(self, running: "Running") -> None:
        """Write what it could not be told."""
        self._clear()
        for note in running.notes:
            self._say(f"note: {note}")

    def event(self, event: "Event") -> None:
        """Write the answer as it comes; what the model thinks goes to stderr."""
        from hwledger.cli.output import printable
        from hwledger.runner.engine import Done, Piece, Progress

        if isinstance(event, Progress):
            self._draw(f"reading the prompt: {event.done:,} of {event.total:,} tokens")
        elif isinstance(event, Piece):
            self._clear()
            out = sys.stderr if event.thinking else sys.stdout
            if self._open is not out:
                self._end_line()
            out.write(printable(event.text) if out.isatty() else event.text)
            out.flush()
            self._open = None if event.text.endswith("\n") else out
        elif isinstance(event, Done):
            self._done(event.timings)

    def _done(self, timings: Any) -> None:
        from hwledger.screens.run import timing_line

        self._clear()
        self._end_line()
        if timings is not None:
            self._say(timing_line(timings))

    def broken_off(self) -> None:
        """End the line; whoever reads it may have left."""
        self._clear()
        with suppress(OSError):
            self._end_line()

    def _end_line(self) -> None:
        """End the line of the stream that was written to last."""
        if self._open is not None:
            self._open.write("\n")
            self._open.flush()
            self._open = None

    def reconciled(self, found: "Reconciliation") -> None:
        """Draw it on stderr, so that a pipe holds the answer alone."""
        from hwledger.cli.reconciled import draw

        draw(found, sys.stderr)

    def recorded(self, run: str) -> None:
        """Write how it is shown again."""
        self._say(f"on record as run {run}; hwledger reconcile last shows it again")

    def trouble(self, sentence: str) -> None:
        """Write it."""
        self._say(f"note: {sentence}")

    def _say(self, text: str) -> None:
        from hwledger.cli.output import printable

        self._clear()
        sys.stderr.write(f"hwledger: {printable(text)}\n")
        sys.stderr.flush()

    def _draw(self, text: str) -> None:
        if self._live:
            sys.stderr.write(f"\r\x1b[2K{text}")
            sys.stderr.flush()
            self._drawn = True

    def _clear(self) -> None:
        if self._drawn:
            sys.stderr.write("\r\x1b[2K")
            self._drawn = False


class Lines:
    """Every event as a JSON document on a line of its own."""

    def plan(self, prepared: "Prepared") -> None:
        """Write the plan in short."""
        made = prepared.plan
        self._write(
            "plan", schema=SCHEMA, model=made.spec.id, engine=made.engine, version=made.request.version,
            where=prepared.installed.where, context_tokens=made.memory.context_tokens,
            kv_cache_type=made.memory.kv_type, total_bytes=made.total_bytes, host_bytes=made.host_bytes,
            devices=[device.name for device in made.request.devices],
            verdict=prepared.verdict.value if prepared.verdict else None,
            host_room_bytes=prepared.host_room_bytes,
        )  # fmt: skip

    def starting(self, prepared: "Prepared", run: str = "") -> None:
        """Write that it starts, and the id of the run; null where it is not on record."""
        self._write("starting", engine=prepared.engine.name, run=run or None)

    def ready(self, running: "Running") -> None:
        """Write where it answers."""
        log = None if running.log is None else str(running.log)
        self._write("ready", address=running.address, pid=running.pid, log=log, notes=list(running.notes))

    def event(self, event: "Event") -> None:
        """Write progress, a piece or the end."""
        from hwledger.runner.engine import Done, Piece, Progress

        if isinstance(event, Progress):
            self._write("progress", **asdict(event))
        elif isinstance(event, Piece):
            self._write("token", **asdict(event))
        elif isinstance(event, Done):
            timings = None if event.timings is None else asdict(event.timings)
            self._write("done", ending=event.ending.value, timings=timings)

    def broken_off(self) -> None:
        """Write nothing: there is no ``done``."""

    def reconciled(self, found: "Reconciliation") -> None:
        """Write it as ``hwledger.reconciliation/1``."""
        from hwledger.reconcile.document import reconciliation_document

        self._write("reconciliation", reconciliation=reconciliation_document(found))

    def recorded(self, run: str) -> None:
        """Write nothing: the id was told when it started."""

    def trouble(self, sentence: str) -> None:
        """Write it to stderr: it is no part of the run."""
        sys.stderr.write(f"hwledger: note: {sentence}\n")

    def _write(self, name: str, **told: Any) -> None:
        sys.stdout.write(json.dumps({"event": name, **told}) + "\n")
        sys.stdout.flush()
