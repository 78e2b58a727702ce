"""A reserve that leaves too little: said plainly, with the most that can be kept free."""

import pytest

from hwledger.device.catalogue import devices, parse_devices
from hwledger.device.options import kept_free
from hwledger.library.sources.catalogue import shipped_model
from hwledger.planner.plan import plan
from hwledger.planner.reserve import fullest_place, most_kept_free, reserve_words
from hwledger.planner.solve.limits import MEMORY, Limits
from hwledger.planner.solve.question import measure
from hwledger.planner.solve.solve import solve
from hwledger.units import GIB, MIB
from support.solving import question

QWEN = "Qwen/Qwen3-8B"


@pytest.mark.requirement("FR-SOLVE-LIMITS", "FR-SOLVE-WHY-NOT")
@pytest.mark.parametrize("engine", ["vllm", "llama.cpp", "mlx"])
@pytest.mark.parametrize("device", ["RTX 4090", "M4 Max 64GB", "2x RTX 3090"])
def test_the_most_that_can_be_kept_free_is_the_most(engine: str, device: str) -> None:
    """With so much kept free the plan holds, and with a little more it does not."""
    cards = parse_devices(device)
    if engine == "mlx" and len(cards) > 1:
        pytest.skip("mlx runs on one device")
    asked = question(shipped_model(QWEN), engine, cards, limits=Limits(reserve_bytes=200 * GIB))
    bare = plan(shipped_model(QWEN), engine=engine, devices=cards)
    place = fullest_place(bare)
    most = most_kept_free(bare, place)
    for more, holds in ((0, True), (32 * MIB, False)):
        limited = question(shipped_model(QWEN), engine, cards, limits=Limits(reserve_bytes=most + more))
        assert measure(limited, limited.request).holds is holds or len(cards) > 1
    measured = measure(asked, asked.request)
    assert len(cards) > 1 or "at most" in measured.misses[0].why
    assert "leaves nothing" in measured.misses[0].why


@pytest.mark.requirement("FR-SOLVE-LIMITS", "FR-SOLVE-WHY-NOT")
def test_a_reserve_over_every_card_is_answered_with_the_card_that_comes_nearest() -> None:
    """Of the whole catalogue the way that could keep most free is the nearest, and no figure is infinite."""
    asked = question(
        shipped_model(QWEN), "llama.cpp", catalogue=devices(), limits=Limits(reserve_bytes=2000 * GIB)
    )
    answer = solve(asked, "devices")
    assert not answer.holds
    assert answer.nearest
    miss = answer.nearest.measured.misses[0]
    assert miss.limit == MEMORY
    assert "leaves nothing" in miss.why
    assert 0 < miss.excess < 10
    largest = max(device.usable_bytes for device in devices())
    assert answer.nearest.measured.request.devices[0].usable_bytes == largest


@pytest.mark.requirement("FR-SOLVE-LIMITS")
def test_without_a_reserve_nothing_is_said_of_one() -> None:
    """A plan that does not fit by itself has no words on a reserve; one beside it says what lacks without."""
    card = parse_devices("RTX 3060 12GB")
    bare = plan(shipped_model(QWEN), engine="llama.cpp", devices=card)
    assert reserve_words(bare, 0) == ""
    kept = plan(shipped_model(QWEN), engine="llama.cpp", devices=kept_free(card, GIB))
    assert "without a reserve" in reserve_words(kept, 0)
    assert kept_free(card, 0) == card
