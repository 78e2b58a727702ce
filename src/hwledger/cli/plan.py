"""``hwledger plan``."""

from typing import TYPE_CHECKING, Any

import click

from hwledger.cli.access import access_options
from hwledger.cli.solving import solve_options
from hwledger.cli.values import Size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hwledger.library.access import Access
    from hwledger.library.deployment import Deployment
    from hwledger.planner.plan import Plan
    from hwledger.planner.solve.holding import Held
    from hwledger.planner.throughput import Throughput
    from hwledger.reconcile.asked import Asked

DOES_NOT_FIT = 3


@click.command("plan", context_settings={"show_default": True})
@click.argument("words", metavar="MODEL", nargs=-1)
@click.option(
    "--from-command",
    metavar="TEXT",
    help='Plan what a command line runs: "vllm serve Qwen/Qwen3-32B --tensor-parallel-size 2".',
)
@click.option(
    "--engine",
    metavar="NAME",
    help="vllm, llama.cpp, mlx or transformers; by the model's format if not given.",
)
@click.option(
    "--engine-version",
    metavar="V",
    help="Version of the engine (0.33.0, b11063); the newest known if not given.",
)
@click.option("--context", type=Size(), metavar="TOKENS", help="Tokens of one request: 131072 or 128k.")
@click.option(
    "--concurrency", type=click.IntRange(1, 1 << 20), metavar="N", help="Requests at once; 1 if not given."
)
@click.option("--weights", metavar="TYPE", help="Plan the weights in this type: fp8, int4, Q4_K_M …")
@click.option("--kv-cache", metavar="TYPE", help="Number type of the KV cache: fp8, q8_0 …")
@click.option(
    "--device",
    metavar="DEVICES",
    help='"RTX 4090", "2x H100 SXM", "RTX 3090, RTX 3080 10GB", or local: this machine, what is free now.',
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the engine, by its own name; wins over --context and --concurrency.",
)
@solve_options
@access_options
@click.option("--layers", is_flag=True, help="Show every layer.")
@click.option(
    "--export",
    "target",
    metavar="TARGET",
    help="Print what runs the plan: vllm, sglang, llama.cpp, ollama, mlx, mistralrs, compose, k8s or json;"
    " compose:sglang names the program inside.",
)
@click.option("--force", is_flag=True, help="Export although the plan does not fit.")
@click.option(
    "--ask-engine", is_flag=True,
    help="Ask the llama.cpp that is here what it would allocate, beside the plan; reads no weights.",
)  # fmt: skip
@click.option("--record", is_flag=True, help="Put the plan into the local ledger; hwledger history shows it.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON (hwledger.plan/1).")
@click.pass_context
def command(  # noqa: PLR0913, PLR0917 - one parameter per option
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    from_command: str | None,
    engine: str | None,
    engine_version: str | None,
    context: int | None,
    concurrency: int | None,
    weights: str | None,
    kv_cache: str | None,
    device: str | None,
    options: tuple[str, ...],
    revision: str | None,
    target: str | None,
    *,
    offline: bool,
    refresh: bool,
    layers: bool,
    force: bool,
    record: bool,
    ask_engine: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Plan the memory of a model: will it fit, and where does every byte go.

    MODEL is whatever names one: a file or folder, a name of the catalogue, a model of the hub
    (org/repo, org/repo@revision, org/repo:Q4_K_M, or its page's address), the address of a GGUF
    file, ollama:NAME, lmstudio:NAME, the address of a running engine, or a command line that runs
    a model. Exit code 3 says that it does not fit, or that nothing holds the limits of --solve.
    """
    check_export(target, asked, force=force, as_json=as_json)
    from hwledger.app import plan
    from hwledger.cli.access import reading
    from hwledger.cli.limits import is_asked
    from hwledger.cli.solving import answer, check_asked

    looking = target is None and check_asked(asked)
    check_record(record=record, one_plan=target is None and not looking)
    check_one_plan(ask_engine=ask_engine, one_plan=target is None and not looking)
    holding = not looking and is_asked(asked)
    check_price(asked, shown=looking or as_json)
    with reading(revision=revision, offline=offline, refresh=refresh) as access:
        made = plan(
            one_reference(words, from_command),
            engine=engine or engine_for(target),
            engine_version=engine_version,
            context=context,
            concurrency=concurrency,
            weights=weights,
            kv_cache=kv_cache,
            device=device,
            options=options,
            access=access,
            least_context=_longest(asked) if holding else 0,
            reserve_bytes=asked["reserve"] or 0 if holding else 0,
        )
        said = engine_answer(made, " ".join(words), access) if ask_engine else None
    if target:
        write_export(made, target, asked["files"], force=force)
        return
    if looking:
        knobs = {"context": context, "concurrency": concurrency, "weights": weights, "kv-cache": kv_cache}
        answer(
            ctx, made, asked, [name for name, value in knobs.items() if value is not None], as_json=as_json
        )
        return
    price = asked["price_kind"] or "rent"
    told = asked if holding else None
    if not write_plan(made, told, price, layers=layers, as_json=as_json, record=record, engine=said):
        ctx.exit(DOES_NOT_FIT)


def check_price(asked: "Mapping[str, Any]", *, shown: bool) -> None:
    """Refuse a kind of price where no price is shown or held to a limit.

    Raises:
        UsageError: it would change nothing.
    """
    from hwledger.errors import UsageError

    if asked["price_kind"] and not shown and asked["max_price"] is None:
        raise UsageError("--price changes nothing here; give --max-price, --solve or --json with it")


def _longest(asked: dict[str, Any]) -> int:
    from hwledger.cli.traffic import longest_request

    return longest_request(asked)


def write_plan(  # noqa: PLR0913 - what a plan is shown with
    made: "Plan",
    asked: dict[str, Any] | None,
    price: str = "rent",
    *,
    layers: bool,
    as_json: bool,
    record: bool = False,
    engine: "Asked | None" = None,
) -> bool:
    """Print a plan with its speed; ``asked``: under which traffic, and which limits it is held to.

    Args:
        made: the plan.
        asked: the options of traffic and limits; ``None``: none was given.
        price: which price counts, ``rent`` or ``owned``.
        layers: show every layer.
        as_json: print the document.
        record: put it into the local ledger, before it is printed.
        engine: what the engine itself says that it would allocate.

    Returns:
        Whether it fits and holds every limit.
    """
    from hwledger.planner.fit import Verdict

    fast, held = _speed(made, asked)
    document = _document(made, fast, held, price, engine) if as_json or record else {}
    if record:
        _record(made, document)
    if as_json:
        from hwledger.cli.output import write_json

        write_json(document)
    else:
        from hwledger.cli.drawing import write_plan
        from hwledger.screens.plan import plan_screen

        write_plan(plan_screen(made, fast, held), layers=layers)
        if engine is not None:
            from hwledger.cli.reconciled import draw_asked

            draw_asked(engine)
    fits = made.fit is None or made.fit.verdict is not Verdict.DOES_NOT_FIT
    return fits and not any(one.miss for one in held)


def _document(
    made: "Plan", fast: "Throughput | None", held: "tuple[Held, ...]", price: str, engine: "Asked | None"
) -> dict[str, Any]:
    from hwledger.app import cost
    from hwledger.planner.document import plan_document

    more: dict[str, Any] = {"cost": cost(made, fast, price) if fast else None, "limits": _limits(held)}
    if engine is not None:
        from hwledger.reconcile.asked import asked_document

        more["asked"] = asked_document(engine)
    return {**plan_document(made, fast), **more}


def _record(made: "Plan", document: dict[str, Any]) -> None:
    """Put a plan into the local ledger, and say where it is on stderr."""
    import sys

    from hwledger.cli.output import json_line
    from hwledger.history import record_plan

    recorded = record_plan(made, json_line(document).encode("utf-8", "backslashreplace"))
    sys.stderr.write(f"hwledger: recorded as event {recorded.seq} of {recorded.ledger}\n")


def check_record(*, record: bool, one_plan: bool) -> None:
    """Refuse to record where there is not one plan.

    Raises:
        UsageError: it is a search or an export.
    """
    from hwledger.errors import UsageError

    if record and not one_plan:
        raise UsageError("--record keeps one plan; give it without --export, --solve, --what-if and --grid")


def check_one_plan(*, ask_engine: bool, one_plan: bool) -> None:
    """Refuse to ask an engine where there is not one plan.

    Raises:
        UsageError: it is a search or an export.
    """
    from hwledger.errors import UsageError

    if ask_engine and not one_plan:
        raise UsageError(
            "--ask-engine asks for one plan; give it without --export, --solve, --what-if and --grid"
        )


def engine_answer(made: "Plan", ref: str, access: "Access") -> "Asked":
    """Return what the engine of a plan says that it would allocate."""
    from hwledger.asking import ask_engine

    return ask_engine(made, ref, access)


def _speed(made: "Plan", asked: dict[str, Any] | None) -> "tuple[Throughput | None, tuple[Held, ...]]":
    if asked is not None:
        from hwledger.cli.traffic import speed_under

        return speed_under(made, asked)
    from hwledger.app import speed

    return (speed(made) if made.request.devices else None), ()


def _limits(held: "tuple[Held, ...]") -> list[dict[str, Any]] | None:
    if not held:
        return None
    from hwledger.planner.solve.document import held_document

    return [held_document(one) for one in held]


def check_export(target: str | None, asked: "Mapping[str, Any]", *, force: bool, as_json: bool) -> None:
    """Refuse options of an export without one, and two ways to print at once.

    Raises:
        UsageError: they contradict each other.
    """
    from hwledger.errors import UsageError

    if target is None:
        if force:
            raise UsageError("--force belongs to --export TARGET; name what to export")
        return
    from hwledger.cli.limits import LIMITS, TRAFFIC

    unused = next((name for name in (*LIMITS, *TRAFFIC) if name != "reserve" and asked[name] is not None), "")
    if unused:
        raise UsageError(
            f"--{unused.replace('_', '-')} changes nothing of an export; see what holds without --export"
        )
    other = next((name for name in ("solve", "what_if", "grid") if asked[name]), "")
    if other:
        raise UsageError(f"--export writes one plan and --{other.replace('_', '-')} many; give one of them")
    if len(asked["files"]) > 1:
        raise UsageError("an export is one file; give one --write")
    if as_json:
        raise UsageError("--json prints the plan and --export what runs it; give one of them (--export json)")


def engine_for(target: str | None) -> str | None:
    """Return the engine that an export is planned with; ``None``: by the model's format."""
    if target is None:
        return None
    from hwledger.planner.export import planned_as

    return planned_as(target)


def write_export(made: "Plan", target: str, files: "Sequence[str]", *, force: bool) -> None:
    """Write an export to stdout or a file, and what it could not hold to stderr."""
    import sys
    from pathlib import Path

    from hwledger.planner.export import exported

    written = exported(made, target, force=force)
    for note in written.notes:
        sys.stderr.write(f"hwledger: note: {note}\n")
    if not files:
        sys.stdout.write(written.text)
        return
    from hwledger.library.files import write_whole

    write_whole(Path(files[0]), written.text.encode())


def one_reference(words: tuple[str, ...], command_line: str | None = None) -> "str | Deployment":
    """Return what was named, by words or with ``--from-command``.

    Raises:
        UsageError: nothing was named, or two things.
    """
    from hwledger.errors import UsageError

    if command_line is not None and words:
        raise UsageError("give a model or --from-command, not both")
    if command_line is not None:
        from hwledger.library.commands import read_command

        return read_command(command_line)
    if not "".join(words).strip():
        raise UsageError("name a model: a file, a name, an address; or list known ones with: hwledger models")
    return " ".join(words)
