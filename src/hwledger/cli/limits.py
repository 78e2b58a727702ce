"""The options of limits and traffic, for every command that looks for something that holds them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hwledger.cli.values import Money, Seconds, Size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwledger.planner.solve.arrivals import Arrivals, Lengths
    from hwledger.planner.solve.limits import Limits

Command = TypeVar("Command", bound=Callable[..., Any])
LIMIT_OPTIONS = (
    click.option("--ttft", type=Seconds(), metavar="TIME", help="Most time to the first token: 2s, 500ms."),
    click.option("--tpot", type=Seconds(), metavar="TIME", help="At most so long between two tokens: 50ms."),
    click.option("--min-tps", type=click.FloatRange(min=0, min_open=True), metavar="N",
                 help="At least so many tokens/s for one user."),
    click.option("--max-watts", type=click.FloatRange(min=0, min_open=True), metavar="W",
                 help="At most so many watts for all devices."),
    click.option("--max-price", type=Money(), metavar="USD/h", help="Most dollars per hour: 2.50/h."),
    click.option("--price", "price_kind", type=click.Choice(("rent", "owned")),
                 help="Which price counts: of offers, or bought over three years; offers if not given."),
    click.option("--reserve", type=Size(), metavar="SIZE", help="Keep so much of each device free: 1GiB."),
    click.option("--ram", type=Size(), metavar="SIZE", help="At most so much host memory: 64GiB."),
)  # fmt: skip
TRAFFIC_OPTIONS = (
    click.option("--rps", type=click.FloatRange(min=0, min_open=True), metavar="N",
                 help="Requests that arrive per second; with --prompt and --output."),
    click.option("--prompt", metavar="TOKENS",
                 help="Prompts: 2000, 500-4000, 200:0.7,4000:0.3 or lognormal(2000,0.8)."),
    click.option("--output", metavar="TOKENS", help="Answers, as --prompt."),
    click.option("--seed", type=int, default=0, metavar="N", help="Of the simulated arrivals."),
)  # fmt: skip


def limit_options(command: Command) -> Command:
    """Give a command the options of limits."""
    for option in reversed(LIMIT_OPTIONS):
        command = option(command)
    return command


def traffic_options(command: Command) -> Command:
    """Give a command the options of traffic."""
    for option in reversed(TRAFFIC_OPTIONS):
        command = option(command)
    return command


def limits_of(asked: dict[str, Any]) -> "Limits":
    """Return the limits that the options set.

    Raises:
        UsageError: a limit that holds for nothing.
    """
    from hwledger.planner.solve.limits import Limits

    return Limits(
        ttft_seconds=asked["ttft"], tpot_seconds=asked["tpot"], min_tokens_per_second=asked["min_tps"],
        max_watts=asked["max_watts"], max_price_per_hour=asked["max_price"], ram_bytes=asked["ram"],
        reserve_bytes=asked["reserve"] or 0, price_kind=asked["price_kind"] or "rent",
    )  # fmt: skip


def traffic_of(asked: dict[str, Any]) -> "tuple[Arrivals | None, Lengths | None, Lengths | None]":
    """Return arrivals, and the lengths of prompts and answers, as far as the options say.

    Raises:
        UsageError: a length that cannot be read, or arrivals without lengths.
    """
    from hwledger.planner.solve.arrivals import arrivals_of, parse_lengths

    prompt = parse_lengths(asked["prompt"]) if asked["prompt"] else None
    output = parse_lengths(asked["output"]) if asked["output"] else None
    return arrivals_of(asked["rps"], prompt, output), prompt, output


LIMITS = ("ttft", "tpot", "min_tps", "max_watts", "max_price", "reserve", "ram")
TRAFFIC = ("rps", "prompt", "output")


def is_asked(asked: "Mapping[str, Any]") -> bool:
    """Whether any of the limits or any traffic was given."""
    return any(asked.get(key) is not None for key in (*LIMITS, *TRAFFIC))
