"""How right plans of a real model are on this machine: process memory, and decode before and after a run.

    python benchmarks/measure_plans.py MODEL [--engine llama.cpp] [--contexts 512,2048,4096,8192] [--wait 600]

Nothing is kept: what is learned goes into a folder of its own. A speed counts where others used less than a
tenth of the processor while it was timed; the script waits and tries again for as long as ``--wait`` says.
"""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace

from hwledger.learning import Run, learn
from hwledger.reconcile.term import Expected, Seen
from hwledger.reconciling import host_now, reconcile_run
from hwledger.runner.engine import Ask, Done
from hwledger.running import prepare
from hwledger.telemetry.local import cores
from hwledger.telemetry.others import moment, others_share

MIB = 1 << 20
QUIET_RUNS = 4
PROMPT = "The sea is wide and the boat is small, so the people on it sing all day and sleep at night. " * 4


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Measure, and print a line for each context and for each speed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--contexts", default="512,2048,4096,8192")
    parser.add_argument("--wait", type=float, default=600.0)
    parser.add_argument("--only", choices=("memory", "speed"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hwledger-measure-") as folder:
        os.environ["HWLEDGER_DATA_DIR"] = folder
        if asked.only != "speed":
            memory(asked.model, asked.engine, [int(each) for each in asked.contexts.split(",")])
        if asked.only != "memory":
            speed(asked.model, asked.engine, asked.wait)


def once(model: str, engine: str, context: int, tokens: int) -> tuple[Run, float | None]:
    """Run once; return what is needed to learn from it, and the share that others used."""
    ready, before = prepare(model, engine_name=engine, context=context), host_now()
    name, program = ready.engine.name, ready.installed.program
    with ready.engine.start(ready.plan) as running:
        list(running.generate(Ask(prompt="Once", max_tokens=2)))
        first = moment(running.pid)
        events = list(running.generate(Ask(prompt=PROMPT, max_tokens=tokens, temperature=0)))
        others = others_share(first, moment(running.pid), cores())
        timings = next(event.timings for event in events if isinstance(event, Done))
        found = reconcile_run(
            ready.plan, running, timings, before, engine=name, program=program, others=others
        )  # fmt: skip
    return Run(
        plan=ready.plan, found=found, timings=timings, host=before, engine=name, program=program,
        source="measured",
    ), others  # fmt: skip


def memory(model: str, engine: str, contexts: list[int]) -> None:
    """Print process memory, planned and measured: as shipped, then after one run was learned."""
    for number, context in enumerate([*contexts, *contexts]):
        run, _ = once(model, engine, context, 4)
        account = run.found.accounts[0]
        planned, seen = account.expected, account.whole
        if not isinstance(planned, Expected) or not isinstance(seen, Seen):
            sys.exit(f"nothing to compare: {planned}, {seen}")
        say(
            f"memory, context {context}: planned {planned.value / MIB:.1f} MiB ({planned.low / MIB:.1f} …"
            f" {planned.high / MIB:.1f}, {planned.basis.value}), measured {seen.value / MIB:.1f} MiB,"
            f" {planned.value / seen.value - 1:+.2%}, {'inside' if account.inside else 'outside'}"
        )
        if number == len(contexts) - 1:
            learn(replace(run, busy=True))


def speed(model: str, engine: str, wait: float) -> None:
    """Print decode as planned before the first run, and after it, beside what was measured."""
    end, quiet = time.monotonic() + wait, 0
    while quiet < QUIET_RUNS and time.monotonic() < end:
        run, others = once(model, engine, 1024, 48)
        (term,) = [each for each in run.found.terms if each.name == "decode"]
        planned, seen = term.expected, term.seen
        if term.doubt or not isinstance(planned, Expected) or not isinstance(seen, Seen):
            say(f"decode: others used {others or 0:.0%} of the processor; tried again")
            time.sleep(5)
            continue
        quiet += 1
        say(
            f"decode: planned {planned.value:.3g} tokens/s ({planned.low:.3g} … {planned.high:.3g},"
            f" {planned.basis.value}), measured {seen.value:.3g}, {planned.value / seen.value - 1:+.1%},"
            f" others used {others or 0:.0%}"
        )
        if quiet == 1:
            learn(run)


if __name__ == "__main__":
    main()
