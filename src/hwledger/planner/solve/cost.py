"""What devices cost by the hour and draw: rents and purchase prices with date and source; unknown is said."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from hwledger.device.spec import DeviceSpec
from hwledger.planner.memory import Basis
from hwledger.shipped import shipped_text

CURRENCY: Final = "USD"


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
        price_per_hour: US dollars for all of them; ``None`` where one's price is not known.
        purchase: US dollars to buy them; ``None`` where one's price is not known.
        watts: board power, or the limits set on them; ``None`` where one's is not known.
        basis: how far to trust the price per hour.
        sources: where the figures come from.
        unknown: what is not known, in sentences.
    """

    price_per_hour: float | None = None
    purchase: float | None = None
    watts: float | None = None
    basis: Basis = Basis.ASSUMED
    sources: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


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
    """Return the cheapest known rent of a device, else its purchase price by the hour with electricity.

    The latter leaves host, room and hands out; its basis is ``assumed``.
    """
    known = offers().get(device.name)
    if known:
        return known[0]
    price, assumed = device.price, assumptions()
    if price is None or price.currency != CURRENCY:
        return None
    hours, power = assumed["owned_hours"], (watts_of(device) or 0.0) / 1000 * assumed["usd_per_kwh"]
    return Rent(
        amount_per_hour=price.amount / hours + power, date=price.date, source=price.source,
        provider=f"bought, over {hours:,.0f} h of use, with electricity", basis=Basis.ASSUMED,
    )  # fmt: skip


@cache
def assumptions() -> Mapping[str, float]:
    """Return what is assumed of devices that are bought; each has its source in ``data/assumptions.csv``."""
    text = shipped_text("hwledger.planner.solve", "data/assumptions.csv")
    return {row["name"]: float(row["value"]) for row in csv.DictReader(text.splitlines())}


def watts_of(device: DeviceSpec) -> float | None:
    """Return the limit set on a device, else its board power."""
    return device.power_watts or device.tdp_watts


def cost_of(devices: Sequence[DeviceSpec]) -> Cost:
    """Return what devices cost and draw; computed once per set."""
    return _cost_of(tuple(devices))


@cache
def _cost_of(devices: tuple[DeviceSpec, ...]) -> Cost:
    kinds = dict.fromkeys(devices)
    rents = {device: rent_of(device) for device in kinds}
    prices = [rents[device] for device in devices]
    watts = [watts_of(device) for device in devices]
    buys = [
        device.price.amount if device.price and device.price.currency == CURRENCY else None
        for device in devices
    ]
    unknown = [f"the price of {device.name} is not known" for device, rent in rents.items() if rent is None]
    unknown += [f"the power of {device.name} is not known" for device in kinds if watts_of(device) is None]
    return Cost(
        price_per_hour=_sum([None if rent is None else rent.amount_per_hour for rent in prices]),
        purchase=_sum(buys), watts=_sum(watts),
        basis=Basis.ASSUMED if any(r is None or r.basis is Basis.ASSUMED for r in prices) else Basis.MEASURED,
        sources=tuple(_source(device, rent) for device, rent in rents.items() if rent),
        unknown=tuple(unknown),
    )  # fmt: skip


def _source(device: DeviceSpec, rent: Rent) -> str:
    return f"{device.name}: {rent.amount_per_hour:.2f} USD/h, {rent.provider}, {rent.date}, {rent.source}"


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if values and len(known) == len(values) else None
