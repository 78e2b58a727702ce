"""``hwledger serve``."""

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from hwledger.cli.access import access_options
from hwledger.cli.values import Size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hwledger.reconcile.term import Reconciliation
    from hwledger.running import Prepared
    from hwledger.serving import Down, Up
    from hwledger.telemetry.snapshot import HostSnapshot

SCHEMA = "hwledger.serve/1"


@click.command("serve", context_settings={"show_default": True})
@click.argument("ref", metavar="MODEL")
@click.option("--engine", default="auto", metavar="NAME", help="llama.cpp, or auto: the one that is here.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, metavar="N", help="0: any that is free.")
@click.option("--context", type=Size(), metavar="TOKENS", help="Tokens of one request: 4096 or 32k.")
@click.option("--concurrency", type=click.IntRange(1), metavar="N", help="Requests at once.")
@click.option("--kv-cache", metavar="TYPE", help="Number type of the KV cache: q8_0 …")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="An option of the engine.")
@access_options
@click.option("--anyway", is_flag=True, help="Serve it although the plan does not fit.")
@click.option("--no-record", is_flag=True, help="Keep it out of the local ledger.")
@click.option("--json", "as_json", is_flag=True, help="Print events, one JSON document a line.")
def command(  # noqa: PLR0913 - one parameter per option
    ref: str,
    port: int,
    revision: str | None,
    *,
    offline: bool,
    refresh: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Serve a model to programs of this machine, as OpenAI's servers do, with the plan's own flags.

    It is planned first, on what is free now; what does not fit is refused with the way out (exit
    code 3). It answers on loopback alone, under /v1. An engine that ends by itself is started again,
    three times. Ctrl-C ends it, with exit code 0.
    """
    from hwledger.cli.access import reading
    from hwledger.cli.run import check_fits
    from hwledger.running import prepare

    said = _Said(as_json=as_json)
    with reading(revision=revision, offline=offline, refresh=refresh) as access:
        prepared = prepare(
            ref, engine_name=asked["engine"], context=asked["context"], concurrency=asked["concurrency"],
            kv_cache=asked["kv_cache"], options=asked["options"], access=access,
        )  # fmt: skip
    said.plan(prepared)
    check_fits(prepared, anyway=asked["anyway"])
    _serve(prepared, port, said, record=not asked["no_record"])


def _serve(prepared: "Prepared", port: int, said: "_Said", *, record: bool) -> None:
    """Serve until Ctrl-C, or until the engine is given up."""
    from hwledger.reconciling import host_now
    from hwledger.recording import Recorder
    from hwledger.serving import serve

    before = host_now()
    recorder = Recorder(said.trouble, keep=record)
    recorder.started(prepared, before)
    events = serve(prepared, port)
    try:
        with _terminated(), recorder.ending():
            for number, event in enumerate(events):
                found = said.event(event, prepared, before)
                if found is not None and number == 0:
                    recorder.reconciled(found)
    except KeyboardInterrupt:
        said.ended()
    finally:
        _finish(events)


def _finish(events: "Iterator[Up | Down]") -> None:
    """End the engine: closing the generator does."""
    close = getattr(events, "close", None)
    if close is not None:
        close()


class _terminated:  # noqa: N801 - a context manager, named as one
    """While it is open, SIGTERM ends as Ctrl-C does: service managers send it."""

    def __enter__(self) -> None:
        import signal

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        self._before = signal.signal(signal.SIGTERM, interrupt)

    def __exit__(self, *_: object) -> None:
        import signal

        signal.signal(signal.SIGTERM, self._before)


class _Said:
    """Says what happens: sentences on stderr, or a JSON document a line on stdout."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def plan(self, prepared: "Prepared") -> None:
        """Say what is going to be served, and whether it fits."""
        from hwledger.screens.run import plan_line, room_line

        made = prepared.plan
        if self._as_json:
            self._write("plan", schema=SCHEMA, model=made.spec.id, engine=made.engine,
                        version=made.request.version, context_tokens=made.memory.context_tokens,
                        concurrency=made.memory.concurrency, total_bytes=made.total_bytes,
                        verdict=prepared.verdict.value if prepared.verdict else None)  # fmt: skip
            return
        self._say(plan_line(prepared))
        self._say(room_line(prepared))

    def event(
        self, event: "Up | Down", prepared: "Prepared", before: "HostSnapshot"
    ) -> "Reconciliation | None":
        """Say that it answers, or that it ended; return what its memory says of the plan when it answers."""
        from hwledger.reconciling import reconcile_run
        from hwledger.serving import Down

        if isinstance(event, Down):
            if self._as_json:
                self._write("down", why=event.why, again_seconds=event.again_s)
            else:
                self._say(f"{event.why}; it is started again in {event.again_s:.0f} s")
            return None
        running = event.running
        found = reconcile_run(
            prepared.plan, running, None, before, engine=prepared.engine.name,
            program=prepared.installed.program,
        )  # fmt: skip
        if self._as_json:
            from hwledger.reconcile.document import reconciliation_document

            self._write("up", address=running.address, api=f"{running.address}/v1", pid=running.pid,
                        log=str(running.log) if running.log else None, notes=list(running.notes),
                        reconciliation=reconciliation_document(found))  # fmt: skip
            return found
        for note in running.notes:
            self._say(f"note: {note}")
        self._say(f"{running.address}/v1 answers (process {running.pid}); Ctrl-C ends it")
        return found

    def ended(self) -> None:
        """Say that it was ended."""
        if self._as_json:
            self._write("ended")
        else:
            self._say("ended")

    def trouble(self, sentence: str) -> None:
        """Say what went wrong beside it, on stderr."""
        self._say(f"note: {sentence}")

    def _say(self, text: str) -> None:
        from hwledger.cli.output import printable

        sys.stderr.write(f"hwledger: {printable(text)}\n")
        sys.stderr.flush()

    def _write(self, name: str, **told: Any) -> None:
        sys.stdout.write(json.dumps({"event": name, **told}) + "\n")
        sys.stdout.flush()
