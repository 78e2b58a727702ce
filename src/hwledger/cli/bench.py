"""``hwledger bench``."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hwledger.cli.access import access_options

if TYPE_CHECKING:
    from hwledger.benching import Wanted
    from hwledger.reconcile.bench import Bench
    from hwledger.running import Prepared

WRITTEN = (".json", ".csv")
DOES_NOT_FIT = 3


@click.command("bench", context_settings={"show_default": True})
@click.argument("ref", metavar="MODEL")
@click.option(
    "--engine",
    default="auto",
    metavar="NAME",
    help="llama.cpp, mlx, mistralrs, or auto: the first that loads it.",
)
@click.option(
    "--grid", default="", show_default=False, metavar="AXES",
    help="context,concurrency, or with values context=512:2k,concurrency=1:4; one cell without it.",
)  # fmt: skip
@click.option("--prompt-tokens", type=click.IntRange(1), metavar="N",
              help="Tokens of a prompt; what the context leaves without it.")  # fmt: skip
@click.option("--max-tokens", type=click.IntRange(2), default=32, metavar="N", help="Tokens of an answer.")
@click.option("--repeat", type=click.IntRange(1, 100), default=3, metavar="N", help="Rounds of each cell.")
@click.option("--seconds", type=click.FloatRange(0), default=120.0, metavar="S",
              help="After which no further round of a cell begins.")  # fmt: skip
@click.option("--kv-cache", metavar="TYPE", help="Number type of the KV cache: q8_0 …")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="An option of the engine.")
@click.option(
    "--write", "files", multiple=True, metavar="FILE", type=click.Path(path_type=Path),
    help="A .json or .csv file, whole after each cell; both in the data folder if not given.",
)  # fmt: skip
@access_options
@click.option("--anyway", is_flag=True, help="Measure also what does not fit.")
@click.option("--no-record", is_flag=True, help="Keep it out of the ledger, and learn nothing from it.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (hwledger.bench/1).")
@click.pass_context
def command(  # noqa: PLR0913 - one parameter per option
    ctx: click.Context,
    /,
    ref: str,
    revision: str | None,
    files: tuple[Path, ...],
    *,
    offline: bool,
    refresh: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Measure a model on an engine of this machine: prefill, decode, first token, memory, beside the plan.

    Every cell is planned, run and reconciled; what fits and was not disturbed corrects later plans. What
    others use of the processor meanwhile is measured too: on a busy machine nothing is judged.
    """
    from hwledger.benching import bench
    from hwledger.cli.access import reading
    from hwledger.reconcile.bench import Outcome, settings_of

    paths, settings = _paths(files), settings_of(asked["grid"])
    shown = _Shown()
    found = None
    with reading(revision=revision, offline=offline, refresh=refresh) as access:

        def prepared(context: int | None, concurrency: int | None) -> "Prepared":
            from hwledger.running import prepare

            return prepare(
                ref, engine_name=asked["engine"], context=context, concurrency=concurrency,
                kv_cache=asked["kv_cache"], options=asked["options"], access=access,
            )  # fmt: skip

        try:
            for found in bench(settings, prepared, _wanted(asked), shown.tell, shown.say):
                paths = paths or _own_paths(found)
                _write(found, paths)
        except BaseException:
            if found is not None:
                shown.say(f"what was measured so far is in {' and '.join(map(str, paths))}")
            raise
    shown.clear()
    if found is None:
        return
    _draw(found, paths, as_json=as_json)
    if all(cell.outcome is Outcome.DOES_NOT_FIT for cell in found.cells):
        ctx.exit(DOES_NOT_FIT)


def _wanted(asked: dict[str, Any]) -> "Wanted":
    from hwledger.benching import Wanted

    return Wanted(
        output_tokens=asked["max_tokens"], prompt_tokens=asked["prompt_tokens"], repeats=asked["repeat"],
        seconds=asked["seconds"], anyway=asked["anyway"], record=not asked["no_record"],
    )  # fmt: skip


def _paths(files: tuple[Path, ...]) -> tuple[Path, ...]:
    """Return the files that are asked for.

    Raises:
        UsageError: one is of another kind.
    """
    from hwledger.errors import UsageError

    wrong = next((path for path in files if path.suffix.lower() not in WRITTEN), None)
    if wrong is not None:
        raise UsageError(f"{wrong}: a benchmark is written as .json or .csv; name the file so")
    return files


def _own_paths(found: "Bench") -> tuple[Path, ...]:
    """Return a JSON and a CSV file in the data folder, named after model and moment."""
    from hwledger.library.files import make_folder
    from hwledger.library.paths import data_dir

    folder = data_dir() / "bench"
    make_folder(folder)
    name = "".join(
        char if char.isalnum() or char in "-._" else "-" for char in found.model.rpartition("/")[2]
    )
    stem = f"{found.started.replace(':', '').replace('-', '')}-{name[:80]}"
    return tuple(folder / f"{stem}{kind}" for kind in WRITTEN)


def _write(found: "Bench", paths: tuple[Path, ...]) -> None:
    """Write every file whole."""
    from hwledger.library.files import write_whole
    from hwledger.reconcile.bench import bench_csv, bench_document

    for path in paths:
        is_csv = path.suffix.lower() == ".csv"
        text = bench_csv(found) if is_csv else json.dumps(bench_document(found), indent=1) + "\n"
        write_whole(path, text.encode())


def _draw(found: "Bench", paths: tuple[Path, ...], *, as_json: bool) -> None:
    from hwledger.cli.output import line_width, printable, styled, write_json
    from hwledger.cli.table import wrapped, write_lines, write_table
    from hwledger.reconcile.bench import bench_document
    from hwledger.screens.bench import COLUMNS, bench_notes, bench_rows, bench_title

    if as_json:
        write_json(bench_document(found))
        return
    write_lines([styled(printable(bench_title(found)), "bold")])
    write_table(COLUMNS, bench_rows(found))
    width = line_width()
    for note in (*bench_notes(found), *(f"written: {path}" for path in paths)):
        text = printable(note)
        write_lines([text] if width is None else wrapped(text, width))


class _Shown:
    """How far it is on stderr: one line that changes where somebody looks, else a line for each cell."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._last = ""

    def tell(self, text: str) -> None:
        """Show how far it is."""
        if self._live:
            sys.stderr.write(f"\r\x1b[2K{text[:120]}")
            sys.stderr.flush()
        elif (cell := text.partition(", warming")[0]) != text and cell != self._last:
            self._last = cell
            sys.stderr.write(f"hwledger: {cell}\n")

    def say(self, sentence: str) -> None:
        """Show a sentence."""
        from hwledger.cli.output import printable

        self.clear()
        sys.stderr.write(f"hwledger: note: {printable(sentence)}\n")

    def clear(self) -> None:
        """Take the line away."""
        if self._live:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
