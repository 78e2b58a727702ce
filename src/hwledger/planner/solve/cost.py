"""What devices cost by the hour and draw: rents and purchase prices with date and source; unknown is said."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from hwledger.device.spec import DeviceSpec
from hwledger.planner.memory import Basis
from hwledger.shipped import shipped_text

CURRENCY: Final = "USD"
RENT: Final = "rent"
OWNED: Final = "owned"
KINDS: Final = (RENT, OWNED)
"""Kinds of price by the hour; the two are never compared: an offer has host, room and hands in it."""
HOURS_PER_YEAR: Final = 8760


@dataclass(frozen=True, slots=True, kw_only=True)
class Rent:
    """What renting one device costs.

    Attributes:
        amount_per_hour: US dollars.
        date: when that was the price.
        provider: who asked it.
        source: where it was read.
        basis: ``measured`` for an offer, ``assumed`` for a purchase price by the hour.
    """

    amount_per_hour: float
    date: str
    provider: str
    source: str
    basis: Basis = Basis.MEASURED


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a set of devices costs.

    Attributes:
        price_per_hour: US dollars for all of them, of the kind that is asked for, or of the other where that
            is not known of one; ``None`` where neither is.
        kind: which that is, ``rent`` or ``owned``.
        rent_per_hour, owned_per_hour: the cheapest offers; the purchase prices by the hour.
        purchase: US dollars to buy them; ``None`` where one's price is not known.
        watts: board power, or the limits set on them; ``None`` where one's is not known.
        basis: how far to trust the price per hour.
        sources: where the figures come from.
        unknown: what is not known, in sentences.
    """

    price_per_hour: float | None = None
    kind: str = RENT
    rent_per_hour: float | None = None
    owned_per_hour: float | None = None
    purchase: float | None = None
    watts: float | None = None
    basis: Basis = Basis.ASSUMED
    sources: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def of(self, kind: str) -> float | None:
        """Return the price per hour of one kind; ``None`` where it is not known."""
        return self.rent_per_hour if kind == RENT else self.owned_per_hour


@cache
def offers() -> Mapping[str, tuple[Rent, ...]]:
    """Return the known rents by the device's name, cheapest first."""
    text = shipped_text("hwledger.planner.solve", "data/rents.csv")
    found: dict[str, list[Rent]] = {}
    for row in csv.DictReader(text.splitlines()):
        rent = Rent(
            amount_per_hour=float(row["amount_per_hour"]), date=row["date"], provider=row["provider"],
            source=row["source"],
        )  # fmt: skip
        found.setdefault(row["device"], []).append(rent)
    return {name: tuple(sorted(rents, key=lambda r: r.amount_per_hour)) for name, rents in found.items()}


def rent_of(device: DeviceSpec) -> Rent | None:
    """Return the cheapest known offer of a device, else its purchase price by the hour."""
    return offer_of(device) or owned_of(device)


def offer_of(device: DeviceSpec) -> Rent | None:
    """Return the cheapest known offer of a device."""
    known = offers().get(device.name)
    return known[0] if known else None


def owned_of(device: DeviceSpec) -> Rent | None:
    """Return the purchase price of a device by the hour, with electricity where its power is known.

    It leaves host, room and hands out; its basis is ``assumed``.
    """
    price, assumed, watts = device.price, assumptions(), watts_of(device)
    if price is None or price.currency != CURRENCY:
        return None
    hours, power = assumed["owned_hours"], (watts or 0.0) / 1000 * assumed["usd_per_kwh"]
    energy = "with electricity" if watts else "without electricity, its power is not known"
    return Rent(
        amount_per_hour=price.amount / hours + power, date=price.date, source=price.source,
        provider=f"bought, over {hours / HOURS_PER_YEAR:g} years day and night, {energy}",
        basis=Basis.ASSUMED,
    )  # fmt: skip


@cache
def assumptions() -> Mapping[str, float]:
    """Return what is assumed of devices that are bought; each has its source in ``data/assumptions.csv``."""
    text = shipped_text("hwledger.planner.solve", "data/assumptions.csv")
    return {row["name"]: float(row["value"]) for row in csv.DictReader(text.splitlines())}


def watts_of(device: DeviceSpec) -> float | None:
    """Return the limit set on a device, else its board power."""
    return device.power_watts or device.tdp_watts


def cost_of(devices: Sequence[DeviceSpec], kind: str = RENT) -> Cost:
    """Return what devices cost and draw; computed once per set.

    Args:
        devices: one by one.
        kind: which price counts where both are known, ``rent`` or ``owned``.
    """
    return _cost_of(tuple(devices), kind)


@cache
def _cost_of(devices: tuple[DeviceSpec, ...], kind: str) -> Cost:
    each = tuple(dict.fromkeys(devices))
    found = {name: {one: known(one) for one in each} for name, known in _PRICES.items()}
    sums = {name: _sum([_amount(rents[one]) for one in devices]) for name, rents in found.items()}
    other = next(name for name in KINDS if name != kind)
    told = kind if sums[kind] is not None or sums[other] is None else other
    buys = [one.price.amount if one.price and one.price.currency == CURRENCY else None for one in devices]
    unknown = [f"the price of {one.name} is not known" for one in each if rent_of(one) is None]
    unknown += [f"the power of {one.name} is not known" for one in each if watts_of(one) is None]
    return Cost(
        price_per_hour=sums[told], kind=told, rent_per_hour=sums[RENT], owned_per_hour=sums[OWNED],
        purchase=_sum(buys), watts=_sum([watts_of(one) for one in devices]),
        basis=Basis.MEASURED if told == RENT and sums[RENT] is not None else Basis.ASSUMED,
        sources=tuple(_source(one, rent) for one in each if (rent := found[told][one])),
        unknown=tuple(unknown),
    )  # fmt: skip


_PRICES: Final[Mapping[str, Callable[[DeviceSpec], Rent | None]]] = {RENT: offer_of, OWNED: owned_of}


def _amount(rent: Rent | None) -> float | None:
    return None if rent is None else rent.amount_per_hour


def _source(device: DeviceSpec, rent: Rent) -> str:
    return f"{device.name}: {rent.amount_per_hour:.2f} USD/h, {rent.provider}, {rent.date}, {rent.source}"


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if values and len(known) == len(values) else None
