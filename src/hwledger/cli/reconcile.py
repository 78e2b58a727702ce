"""``hwledger reconcile``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hwledger.cli.access import access_options
from hwledger.cli.values import Size

if TYPE_CHECKING:
    from hwledger.library.access import Access
    from hwledger.looking import Looked
    from hwledger.reconcile.term import Reconciliation
    from hwledger.recording import Recalled


@click.command("reconcile")
@click.argument("target", metavar="[ADDRESS|RUN|MODEL]", required=False)
@click.option(
    "--pid", type=click.IntRange(1), metavar="N", help="The engine that a process is, or is part of."
)
@click.option(
    "--explain", type=Size(), metavar="SIZE",
    help="Why does it take that much? Of an engine that runs, or of a MODEL or command line: 21GiB.",
)  # fmt: skip
@click.option(
    "--model", metavar="MODEL", help="What it holds, where it does not tell that or cannot be read."
)
@click.option("--engine", metavar="NAME", help="Whose rules plan it, where its own name is not known.")
@click.option("--device", metavar="DEVICES", help="What it runs on, as for plan; its plan then has a speed.")
@click.option(
    "--option", "options", multiple=True, metavar="KEY=VALUE",
    help="A setting that the engine does not state, by its own name: n_gpu_layers=0.",
)  # fmt: skip
@click.option(
    "--log", type=click.Path(path_type=Path), metavar="FILE",
    help="Its log, for the buffers that it does not tell over HTTP (llama.cpp: start it with -lv 4).",
)  # fmt: skip
@access_options
@click.option("--no-record", is_flag=True, help="Keep it out of the local ledger.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (hwledger.reconciliation/1).")
def command(
    target: str | None,
    revision: str | None,
    *,
    offline: bool,
    refresh: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Put what a running engine tells beside the plan of what it runs, term by term.

    ADDRESS is that of any engine that is known: vLLM, SGLang, TGI, llama.cpp, Ollama, LM Studio,
    mistral.rs or MLX. What it does not tell stays unknown, and what nothing explains is said as that. RUN is
    a run or a reconciliation that is on record: its id, or last; what was measured then is shown again.
    With --explain the parts of a figure that you saw are listed, the largest first.
    """
    from hwledger.cli.access import reading
    from hwledger.errors import UsageError
    from hwledger.library.serving.address import is_server

    if (target is None) == (asked["pid"] is None):
        raise UsageError(
            "name one of: the address of a running engine, a process with --pid, a run on record, last"
        )
    size = asked["explain"]
    if size is not None and target == "last":
        raise UsageError(
            "a run on record holds no plan to explain a figure with; name its model, or an engine"
        )
    if target is not None and not is_server(target) and size is None:
        _recall(target, asked, as_json=as_json)
        return
    with reading(revision=revision, offline=offline, refresh=refresh) as access:
        looked = _looked(target, asked, access)
    if size is not None:
        _explain(looked, size, as_json=as_json)
        return
    _record(looked.found, keep=not asked["no_record"])
    _write(looked.found, as_json=as_json)


def _looked(target: str | None, given: dict[str, Any], access: "Access") -> "Looked":
    """Return what a running engine says of its plan."""
    from hwledger.library.serving.address import is_server
    from hwledger.looking import Asked, look_at_model, look_at_process, look_at_server
    from hwledger.telemetry.recorded import read_text

    asked = Asked(
        device=given["device"], options=given["options"], model=given["model"], engine=given["engine"],
        log="" if given["log"] is None else read_text(given["log"]), access=access,
    )  # fmt: skip
    if target is None:
        return look_at_process(given["pid"], asked)
    return look_at_server(target, asked) if is_server(target) else look_at_model(target, asked)


def _explain(looked: "Looked", size: int, *, as_json: bool) -> None:
    """Print what a figure is made of."""
    from hwledger.cli.output import line_width, printable, styled, write_json
    from hwledger.cli.table import wrapped, write_lines, write_table
    from hwledger.reconcile.explain import explanation_document
    from hwledger.screens.explain import COLUMNS, explanation_rows, explanation_title

    found = looked.explained(size)
    if as_json:
        named = {"model": looked.plan.spec.id, "engine": looked.plan.engine}
        write_json({"schema": "hwledger.explanation/1", **named, **explanation_document(found)})
        return
    write_lines([styled(printable(explanation_title(found, looked.plan)), "bold")])
    write_table(COLUMNS, explanation_rows(found))
    width, text = line_width(), printable(f"{found.verdict[0].upper()}{found.verdict[1:]}")
    write_lines([text] if width is None else wrapped(text, width))


def _recall(target: str, asked: dict[str, Any], *, as_json: bool) -> None:
    """Show a reconciliation that is on record.

    Raises:
        UsageError: options that ask something of an engine that runs.
    """
    from hwledger.errors import UsageError
    from hwledger.recording import recall

    given = next((name for name in ("device", "options", "log", "model", "engine") if asked[name]), "")
    if given:
        raise UsageError(
            f"--{given.removesuffix('s')} belongs to an engine that runs; {target!r} is no address like"
            " http://localhost:8080, and what is on record stays as it was"
        )
    found = recall(target)
    _write(found.found, found, as_json=as_json)


def _record(found: "Reconciliation", *, keep: bool) -> None:
    """Put a reconciliation on record, and say on stderr where it is, or why it is not."""
    from hwledger.recording import Recorder

    def say(sentence: str) -> None:
        sys.stderr.write(f"hwledger: {sentence}\n")

    recorder = Recorder(lambda sentence: say(f"note: {sentence}"), keep=keep)
    recorder.reconciled(found)
    if recorder.kept:
        say(f"on record as {recorder.run}; hwledger reconcile last shows it again")


def _write(found: "Reconciliation", recalled: "Recalled | None" = None, *, as_json: bool) -> None:
    from hwledger.cli.reconciled import draw

    if as_json:
        from hwledger.cli.output import write_json
        from hwledger.reconcile.document import reconciliation_document

        write_json({**reconciliation_document(found), **_place(recalled)})
        return
    draw(found, sys.stdout, _when(recalled))


def _place(recalled: "Recalled | None") -> dict[str, Any]:
    """Return where a reconciliation is on record, for JSON."""
    from hwledger.ledger.event import time_text

    if recalled is None:
        return {}
    told = {"run": recalled.run, "seq": recalled.seq, "time": time_text(recalled.time_microseconds)}
    return {"recorded": told}


def _when(recalled: "Recalled | None") -> str:
    from hwledger.ledger.event import time_text

    if recalled is None:
        return ""
    moment = time_text(recalled.time_microseconds)
    return (
        f"run {recalled.run} of {moment[:10]} {moment[11:19]} UTC, as it is on record (event {recalled.seq})"
    )
