"""What a server knows of its hosts in memory: whether anything can wait for one of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.fleet.live import Live

pytestmark = pytest.mark.requirement("FR-FLEET-COMMANDS")


def test_a_host_is_idle_until_there_is_news() -> None:
    """A host that was not looked at may have something; one that was has nothing until it is woken."""
    live = Live()
    assert not live.is_idle("a", 0)
    live.keep_idle("a", 3, live.news("a"))
    assert live.is_idle("a", 3)
    assert live.is_idle("a", 4)
    assert not live.is_idle("a", 2)
    assert not live.is_idle("b", 3)
    live.wake("a")
    assert not live.is_idle("a", 3)


def test_news_while_the_ledger_is_asked_is_news() -> None:
    """What is written down between question and note is found with the next question."""
    live = Live()
    before = live.news("a")
    live.wake("a")
    live.keep_idle("a", 0, before)
    assert not live.is_idle("a", 0)


@given(st.lists(st.sampled_from(["issue", "ask", "note"]), max_size=30))
def test_nothing_is_ever_missed(steps: list[str]) -> None:
    """In any order of commands, questions and notes, a host that is idle has nothing to do."""
    live, written, asked = Live(), 0, (0, 0)
    for step in steps:
        if step == "issue":
            written += 1
            live.wake("a")
        elif step == "ask":
            asked = (live.news("a"), written)
        else:
            live.keep_idle("a", asked[1], asked[0])
        assert not (live.is_idle("a", asked[1]) and asked[1] < written)
