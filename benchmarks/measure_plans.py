"""How right plans of a real model are on this machine: process memory over contexts, decode before and after a run.

    python benchmarks/measure_plans.py MODEL [--engine llama.cpp] [--contexts 512,2048,4096,8192] [--wait 600]

Nothing is kept: what is learned goes into a folder of its own. A speed counts where others used less than a
tenth of the processor while it was timed; the script waits and tries again for as long as ``--wait`` says.
"""

import argparse
import os
import tempfile
import time


def main() -> None:
    """Measure, and print a line for each context and for each speed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--contexts", default="512,2048,4096,8192")
    parser.add_argument("--wait", type=float, default=600.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hwledger-measure-") as folder:
        os.environ["HWLEDGER_DATA_DIR"] = folder
        memory(asked.model, asked.engine, [int(each) for each in asked.contexts.split(",")])
        speed(asked.model, asked.engine, asked.wait)


def once(model: str, engine: str, context: int, tokens: int) -> tuple[object, float | None]:
    """Run once; return what is needed to learn from it, and the share that others used."""
    from hwledger.learning import Run
    from hwledger.reconciling import host_now, own_program, reconcile_run
    from hwledger.runner.engine import Ask, Done
    from hwledger.running import prepare
    from hwledger.telemetry.local import cores
    from hwledger.telemetry.others import moment, others_share

    ready, before = prepare(model, engine_name=engine, context=context), host_now()
    name, program = ready.engine.name, own_program(ready.installed.where)
    with ready.engine.start(ready.plan) as running:
        list(running.generate(Ask(prompt="Once", max_tokens=2)))
        first = moment(running.pid)
        prompt = (
            "The sea is wide and the boat is small, so the people on it sing all day and sleep at night. " * 4
        )
        events = list(running.generate(Ask(prompt=prompt, max_tokens=tokens, temperature=0)))
        others = others_share(first, moment(running.pid), cores())
        done = next(event for event in events if isinstance(event, Done))
        found = reconcile_run(ready.plan, running, done.timings, before, engine=name, program=program,
                              others=others)  # fmt: skip
    run = Run(plan=ready.plan, found=found, timings=done.timings, host=before, engine=name, program=program,
              source="measured")  # fmt: skip
    return run, others


def memory(model: str, engine: str, contexts: list[int]) -> None:
    """Print process memory, planned and measured: as shipped, then after the first context was learned."""
    from dataclasses import replace

    from hwledger.learning import Run, learn

    for number, context in enumerate([*contexts, *contexts]):
        run, _ = once(model, engine, context, 4)
        assert isinstance(run, Run)
        account = run.found.accounts[0]
        expected, seen = account.expected, account.whole
        error = expected.value / seen.value - 1  # type: ignore[union-attr]
        print(
            f"memory context {context}: planned {expected.value / 2**20:.1f} MiB"  # type: ignore[union-attr]
            f" ({expected.low / 2**20:.1f} … {expected.high / 2**20:.1f}, {expected.basis.value}),"  # type: ignore[union-attr]
            f" measured {seen.value / 2**20:.1f} MiB, {error:+.2%}, inside {account.inside}",
            flush=True,
        )  # type: ignore[union-attr]
        if number == len(contexts) - 1:
            learn(replace(run, busy=True))


def speed(model: str, engine: str, wait: float) -> None:
    """Print decode as planned before the first run, and after it, beside what was measured."""
    from hwledger.learning import Run, learn
    from hwledger.reconcile.term import Expected, Seen

    end, quiet = time.monotonic() + wait, 0
    while quiet < 3 and time.monotonic() < end:
        run, others = once(model, engine, 1024, 48)
        assert isinstance(run, Run)
        (term,) = [each for each in run.found.terms if each.name == "decode"]
        if term.doubt or not isinstance(term.expected, Expected) or not isinstance(term.seen, Seen):
            print(f"speed: others used {others or 0:.0%}, tried again", flush=True)
            time.sleep(5)
            continue
        quiet += 1
        print(
            f"decode: planned {term.expected.value:.3g} ({term.expected.low:.3g} … {term.expected.high:.3g},"
            f" {term.expected.basis.value}), measured {term.seen.value:.3g},"
            f" {term.expected.value / term.seen.value - 1:+.1%}",
            flush=True,
        )
        if quiet == 1:
            learn(run)


if __name__ == "__main__":
    main()
