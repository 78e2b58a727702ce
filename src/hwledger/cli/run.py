"""``hwledger run``."""

import sys
from typing import TYPE_CHECKING, Any

import click

from hwledger.cli.access import access_options
from hwledger.cli.values import Size

if TYPE_CHECKING:
    from hwledger.cli.running import Shown
    from hwledger.runner.engine import Ask, Done, Running
    from hwledger.running import Prepared

LARGEST_PROMPT = 64 << 20


@click.command("run", context_settings={"show_default": True})
@click.argument("ref", metavar="MODEL")
@click.argument("prompt", required=False)
@click.option(
    "--engine",
    default="auto",
    metavar="NAME",
    help="llama.cpp, mlx, mistralrs, the address of a server, or auto: the first that loads it.",
)
@click.option("--context", type=Size(), metavar="TOKENS", help="Tokens of prompt and answer: 4096 or 32k.")
@click.option("--max-tokens", type=click.IntRange(1), metavar="N", help="Tokens of the answer at most.")
@click.option("--chat", is_flag=True, help="The prompt is a message: the model's chat template is applied.")
@click.option(
    "--temperature", type=click.FloatRange(0, 10), default=0.8, help="0: the likeliest token each time."
)
@click.option("--seed", type=click.IntRange(0, (1 << 32) - 2), help="Of the sampler.")
@click.option("--kv-cache", metavar="TYPE", help="Number type of the KV cache: q8_0 …")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="An option of the engine.")
@access_options
@click.option(
    "--prompt-cache",
    type=Size(),
    default=0,
    metavar="SIZE",
    help="Keep on disk what is computed of prompts, for the next run; at most so much: 4GiB.",
)
@click.option("--anyway", is_flag=True, help="Run it although the plan does not fit.")
@click.option(
    "--no-record", is_flag=True, help="Keep the run out of the local ledger, and learn nothing from it."
)
@click.option("--json", "as_json", is_flag=True, help="Print events, one JSON document a line.")
def command(  # noqa: PLR0913, PLR0917 - one parameter per option
    ref: str,
    prompt: str | None,
    engine: str,
    context: int | None,
    max_tokens: int | None,
    temperature: float,
    seed: int | None,
    kv_cache: str | None,
    options: tuple[str, ...],
    revision: str | None,
    prompt_cache: int,
    *,
    chat: bool,
    offline: bool,
    refresh: bool,
    anyway: bool,
    no_record: bool,
    as_json: bool,
) -> None:
    """Run a model on an engine of this machine, and say whether the plan was right.

    It is planned first, on what is free now; what does not fit is refused with the way out (exit
    code 3). The answer goes to the standard output, everything else to stderr. Without PROMPT it is
    read from the standard input. Ctrl-C ends the engine (exit code 130). The run is put on record
    in the local ledger; hwledger reconcile last shows it again.
    """
    from hwledger.cli.access import reading
    from hwledger.cli.running import shown_as
    from hwledger.runner.engine import Ask
    from hwledger.running import prepare

    text = _prompt(prompt)
    shown = shown_as(as_json=as_json)
    with reading(revision=revision, offline=offline, refresh=refresh) as access:
        prepared = prepare(
            ref, engine_name=engine, context=context, kv_cache=kv_cache, options=options, access=access
        )
    shown.plan(prepared)
    check_fits(prepared, anyway=anyway)
    ask = Ask(prompt=text, max_tokens=max_tokens, chat=chat, temperature=temperature, seed=seed)
    _run(prepared, ask, shown, record=not no_record, kept_bytes=prompt_cache)


def _prompt(given: str | None) -> str:
    """Return the prompt, from the standard input where none is given.

    Raises:
        UsageError: there is none.
    """
    from hwledger.errors import UsageError

    if given is not None and given != "-":
        return given
    if sys.stdin is None or (given is None and sys.stdin.isatty()):
        raise UsageError("give a prompt, or pipe one into the standard input")
    raw = sys.stdin.buffer.read(LARGEST_PROMPT + 1)
    if len(raw) > LARGEST_PROMPT:
        raise UsageError(f"the prompt is longer than {LARGEST_PROMPT >> 20} MiB")
    text = raw.decode("utf-8", "replace").removesuffix("\n")  # that of the line, and none of the prompt
    if not text.strip():
        raise UsageError("the prompt is empty: give one, or pipe one into the standard input")
    return text


def check_fits(prepared: "Prepared", *, anyway: bool) -> None:
    """Refuse what does not fit.

    Raises:
        DoesNotFitError: it does not, with the way out.
    """
    from hwledger.errors import DoesNotFitError
    from hwledger.screens.run import refusal

    why = refusal(prepared)
    if why and not anyway:
        raise DoesNotFitError(why)


def _run(prepared: "Prepared", ask: "Ask", shown: "Shown", *, record: bool, kept_bytes: int) -> None:
    """Start the engine, show what it says, and end with predicted beside measured."""
    from hwledger.learning import Run, learn
    from hwledger.reconcile.speed import busy_note
    from hwledger.reconciling import host_now, reconcile_run
    from hwledger.recording import Recorder
    from hwledger.runner.engine import Limits
    from hwledger.telemetry.local import cores
    from hwledger.telemetry.others import moment, others_share

    before, program = host_now(), prepared.installed.program
    recorder = Recorder(shown.trouble, keep=record)
    recorder.started(prepared, before)
    shown.starting(prepared, recorder.run if recorder.kept else "")
    limits = Limits(kept_bytes=kept_bytes)
    with recorder.ending(), prepared.engine.start(prepared.plan, limits) as running:
        shown.ready(running)
        first = moment(running.pid)
        done = _answered(running, ask, shown)
        others = others_share(first, moment(running.pid), cores())
        timings = done.timings if done else None
        found = reconcile_run(
            prepared.plan, running, timings, before, engine=prepared.engine.name, program=program,
            others=others,
        )  # fmt: skip
    recorder.finished(done.ending.value if done else "failed", timings)
    recorder.reconciled(found)
    shown.reconciled(found)
    if record:
        busy = bool(busy_note(before, cores(), others))
        run = Run(plan=prepared.plan, found=found, timings=timings, host=before,
                  engine=prepared.engine.name, program=program, busy=busy,
                  source=f"run {recorder.run}")  # fmt: skip
        for sentence in learn(run):
            shown.trouble(sentence)
    if recorder.kept:
        shown.recorded(recorder.run)


def _answered(running: "Running", ask: "Ask", shown: "Shown") -> "Done | None":
    """Show an answer as it comes, and return its end."""
    from hwledger.runner.engine import Done

    last: Any = None
    try:
        for last in running.generate(ask):
            shown.event(last)
    except BaseException:
        shown.broken_off()
        raise
    return last if isinstance(last, Done) else None
