"""How busy a device's engines were between two looks at its clients."""

from collections.abc import Iterable, Mapping

from hwledger.telemetry.drm.fdinfo import Client, Engine


def busy(before: Iterable[Client], after: Iterable[Client], seconds: float) -> Mapping[str, float]:
    """Return for each engine the share of the time in which the clients kept it busy, from 0 to 1.

    Nanoseconds are held against the time between the looks, cycles against the cycles that passed; engines
    of which there are several against all of them (Linux 6.13, drm-usage-stats.rst). A client that came in
    between counts from nothing; a counter that runs backwards counts as nothing.

    Args:
        before: the clients of one device at the first look, each once.
        after: those at the second look.
        seconds: between the two.
    """
    known = {(each.address, each.number): each.engines for each in before if each.number is not None}
    shares: dict[str, float] = {}
    for client in after:
        if client.number is None:
            continue
        former = known.get((client.address, client.number), {})
        for name, engine in client.engines.items():
            share = _share(former.get(name, Engine(0, None)), engine, seconds)
            if share is not None:
                shares[name] = min(1.0, shares.get(name, 0.0) + share)
    return shares


def _share(before: Engine, after: Engine, seconds: float) -> float | None:
    if before.busy is None or after.busy is None or seconds <= 0:
        return None
    if after.total is None:
        passed = seconds * 1e9
    elif before.total is None:  # a new client: its cycles since when is not known
        return None
    else:
        passed = after.total - before.total
    if passed <= 0:
        return None
    return max(0, after.busy - before.busy) / passed / max(1, after.capacity)
