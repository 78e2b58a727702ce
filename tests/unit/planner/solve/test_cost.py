"""What devices cost: offers, purchase prices by the hour, and what is not known."""

from dataclasses import replace

import pytest

from hwledger.device.catalogue import devices, find_device
from hwledger.library.sources.catalogue import shipped_model
from hwledger.planner.memory import Basis
from hwledger.planner.solve.cost import KINDS, OWNED, RENT, assumptions, cost_of, offers, owned_of, rent_of
from hwledger.planner.solve.limits import Limits
from hwledger.planner.solve.question import cost_misses, measure
from hwledger.planner.solve.solve import solve
from support.solving import device, question, steady


@pytest.mark.requirement("FR-SOLVE-COST")
def test_every_offer_is_of_a_device_of_the_catalogue_with_date_and_source() -> None:
    """An offer under a name that no device has would never be found."""
    names = {one.name for one in devices()}
    for name, rents in offers().items():
        assert name in names
        assert [r.amount_per_hour for r in rents] == sorted(r.amount_per_hour for r in rents)
        assert all(rent.date and rent.source and rent.provider for rent in rents)


@pytest.mark.requirement("FR-SOLVE-COST")
def test_the_cheapest_offer_counts_and_several_devices_add_up() -> None:
    """Two cards cost twice one, at the least known rent."""
    card = find_device("H100 SXM 80GB")
    one, two = cost_of([card]), cost_of([card, card])
    assert one.price_per_hour == offers()[card.name][0].amount_per_hour
    assert two.price_per_hour == pytest.approx(2 * (one.price_per_hour or 0))
    assert two.watts == 2 * (card.tdp_watts or 0)
    assert one.basis is Basis.MEASURED


@pytest.mark.requirement("FR-SOLVE-COST")
def test_a_bought_device_costs_its_price_over_its_hours_and_its_electricity() -> None:
    """Where nobody rents it out the purchase price counts, and the basis says assumed."""
    card = next(d for d in devices() if d.price and d.name not in offers() and d.tdp_watts)
    rent = rent_of(card)
    known = assumptions()
    assert rent
    assert card.price
    expected = card.price.amount / known["owned_hours"] + (card.tdp_watts or 0) / 1000 * known["usd_per_kwh"]
    assert rent.amount_per_hour == pytest.approx(expected)
    assert cost_of([card]).basis is Basis.ASSUMED


@pytest.mark.requirement("FR-SOLVE-COST", "FR-SOLVE-WHY-NOT")
def test_what_is_not_known_is_said_and_holds_no_limit() -> None:
    """A device without price and power misses limits of both, with the reason."""
    cost = cost_of([device(1 << 30, "mine")])
    assert cost.price_per_hour is None
    misses = cost_misses(cost, Limits(max_price_per_hour=1, max_watts=100))
    assert {one.limit for one in misses} == {"max_price_per_hour", "max_watts"}
    assert all("not known" in one.why and "mine" in one.why for one in misses)


@pytest.mark.requirement("FR-SOLVE-COST")
def test_a_power_limit_counts_as_the_power() -> None:
    """A card that is limited to 300 W draws 300 W at most."""
    card = replace(find_device("RTX 4090"), power_watts=300)
    assert cost_of([card]).watts == 300


@pytest.mark.requirement("FR-SOLVE-COST")
def test_rents_and_owned_devices_are_never_added_up() -> None:
    """Of a set whose members are not all rented out, nor all for sale, no price is known."""
    rented = next(d for d in devices() if d.name in offers() and not owned_of(d))
    bought = next(d for d in devices() if d.name not in offers() and owned_of(d))
    mixed = cost_of([rented, bought])
    assert (mixed.rent_per_hour, mixed.owned_per_hour, mixed.price_per_hour) == (None, None, None)
    both = next(d for d in devices() if d.name in offers() and owned_of(d))
    assert cost_of([both, bought]).kind == OWNED
    assert cost_of([both, rented]).kind == RENT
    for kind in KINDS:
        one = cost_of([both], kind)
        assert (one.kind, one.price_per_hour) == (kind, one.of(kind))
    assert cost_of([both], OWNED).basis is Basis.ASSUMED


@pytest.mark.requirement("FR-SOLVE-COST", "FR-SOLVE-LIMITS")
def test_a_limit_of_price_holds_for_its_own_kind_alone() -> None:
    """A card that nobody rents out misses a limit of rent, however cheap to own; the way out is named."""
    bought = next(d for d in devices() if d.name not in offers() and owned_of(d))
    cost = cost_of([bought])
    (missed,) = cost_misses(cost, Limits(max_price_per_hour=1000))
    assert missed.got is None
    assert "--price owned" in missed.why
    assert not cost_misses(cost_of([bought], OWNED), Limits(max_price_per_hour=1000, price_kind=OWNED))


@pytest.mark.requirement("FR-SOLVE-COST", "FR-SOLVE-DEVICES")
def test_the_cheapest_to_rent_and_to_own_are_answered_apart() -> None:
    """Neither is beaten by another way of its own kind; a kind that is chosen is answered alone."""
    spec = shipped_model("Qwen/Qwen3-8B")
    cards = tuple(find_device(n) for n in ("RTX 4090", "RTX 3090", "L40S", "RTX 3060 12GB", "H100 SXM 80GB"))
    limits = Limits(tpot_seconds=0.05)
    found = {}
    for kind in KINDS:
        asked = question(
            spec, "vllm", catalogue=cards, limits=replace(limits, price_kind=kind), estimator=steady
        )
        answer = solve(asked, "devices")
        found[kind] = {one.kind: one.measured for one in answer.solutions}
    rent, own = found[RENT]["devices-cheapest"], found[RENT]["devices-cheapest-owned"]
    assert (rent.cost.kind, own.cost.kind) == (RENT, OWNED)
    assert found[OWNED]["devices-cheapest"].cost == own.cost
    assert "devices-cheapest-owned" not in found[OWNED]
    fitting = [
        d for d in cards if measure(question(spec, "vllm", [d]), question(spec, "vllm", [d]).request).holds
    ]
    rents = [cost_of([d]).rent_per_hour for d in fitting]
    assert rent.cost.rent_per_hour == min(price for price in rents if price is not None)
