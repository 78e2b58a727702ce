"""``hwledger plan`` with limits or traffic: one plan's speed under them, and what it holds."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwledger.planner.plan import Plan
    from hwledger.planner.solve.holding import Held
    from hwledger.planner.throughput import Throughput


def longest_request(asked: dict[str, Any]) -> int:
    """Return the tokens of the longest request that is asked for; 0 where no lengths are given.

    Raises:
        UsageError: a length that cannot be read, or arrivals without lengths.
    """
    from hwledger.cli.limits import traffic_of

    _, prompt, output = traffic_of(asked)
    return (prompt.longest if prompt else 0) + (output.longest if output else 0)


def speed_under(made: "Plan", asked: dict[str, Any]) -> "tuple[Throughput, tuple[Held, ...]]":
    """Return a plan's speed under the traffic that was asked, and each limit with what the plan has of it.

    Raises:
        UsageError: no device is given, or a value that cannot be.
    """
    from hwledger.app import speed
    from hwledger.cli.limits import limits_of, traffic_of
    from hwledger.errors import UsageError
    from hwledger.planner.solve.holding import held_to
    from hwledger.planner.solve.question import traffic_under

    if not made.request.devices:
        raise UsageError(
            "limits and traffic are answered for devices; give --device, or find some with --solve devices"
        )
    arrivals, prompt, output = traffic_of(asked)
    fast = speed(made, traffic_under(made, arrivals, prompt, output))
    return fast, held_to(made, limits_of(asked), fast)
