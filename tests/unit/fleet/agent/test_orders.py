"""What an agent does when it is told to: each command once, in order, in time, from a closed list."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.errors import InputError, MalformedError
from hwledger.fleet.agent.state import Home
from hwledger.fleet.agent.verbs import Order, Orders

pytestmark = pytest.mark.requirement("FR-AGENT-COMMANDS")
LATE = 10**15


def order(fence: int, verb: str = "probe", expires: int = LATE, **arguments: Any) -> Order:
    """Return an order."""
    return Order(f"command-{fence}", verb, arguments, fence, expires)


class Doing:
    """Counts what is done."""

    def __init__(self, what: Callable[[], str] = lambda: "did it") -> None:
        self.done: list[Mapping[str, Any]] = []
        self._what = what

    def __call__(self, told: Mapping[str, Any]) -> str:
        """Do it."""
        self.done.append(told)
        return self._what()


def test_each_is_done_once(tmp_path: Path) -> None:
    """An order that comes again, or after a later one, is not begun; its answer stays until taken."""
    doing = Doing()
    orders = Orders(Home(tmp_path / "a"), {"probe": doing})
    for one in (order(2), order(2), order(1)):
        orders.do(one, 0)
    again = Orders(Home(tmp_path / "a"), {"probe": doing})
    again.do(order(2), 0)
    assert (len(doing.done), again.fence) == (1, 2)
    assert again.answers() == {"command-2": {"fence": 2, "result": "done", "detail": "did it"}}
    again.taken("command-2")
    assert Orders(Home(tmp_path / "a"), {}).answers() == {}


@pytest.mark.parametrize(
    ("told", "detail"),
    [
        (order(1, expires=5), "after its time"),
        (order(1, "run-shell", command="id"), "run-shell"),
        (order(1, wait_seconds=1 << 40), "wait_seconds"),
        (order(1, also=1), "also"),
        (order(1, "stop"), "does not do stop"),
    ],
)
def test_what_is_refused(tmp_path: Path, told: Order, detail: str) -> None:
    """Late, unknown and malformed orders are answered ``refused`` and nothing is done."""
    doing = Doing()
    orders = Orders(Home(tmp_path / "a"), {"probe": doing})
    orders.do(told, 5)
    assert not doing.done
    answer = orders.answers()["command-1"]
    assert answer["result"] == "refused"
    assert detail in answer["detail"]


def test_what_fails_is_said(tmp_path: Path) -> None:
    """Whatever a verb raises is the answer, in printable text of a bounded length."""

    def bad() -> str:
        raise ValueError("no\n" * 5000)

    def worse() -> str:
        raise InputError("the disk is broken; change it")

    orders = Orders(Home(tmp_path / "a"), {"probe": Doing(bad), "renew": Doing(worse)})
    orders.do(order(1), 0)
    orders.do(order(2, "renew"), 0)
    one, two = orders.answers().values()
    assert (one["result"], len(one["detail"]), "\n" in one["detail"]) == ("failed", 2048, False)
    assert two == {"fence": 2, "result": "failed", "detail": "the disk is broken; change it"}


def test_an_agent_that_is_killed_meanwhile_does_not_begin_again(tmp_path: Path) -> None:
    """It says that it does not know whether it was done."""

    def killed() -> str:
        raise KeyboardInterrupt

    doing = Doing(killed)
    with pytest.raises(KeyboardInterrupt):
        Orders(Home(tmp_path / "a"), {"probe": doing}).do(order(7), 0)
    again = Orders(Home(tmp_path / "a"), {"probe": doing})
    again.do(order(7), 0)
    assert len(doing.done) == 1
    assert again.answers()["command-7"]["result"] == "failed"
    assert "not known" in again.answers()["command-7"]["detail"]


def test_nothing_is_done_that_cannot_be_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk a command is not begun, and is once there is room."""
    doing = Doing()
    orders = Orders(Home(tmp_path / "a"), {"probe": doing})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(InputError):
            orders.do(order(1), 0)
    assert (doing.done, orders.fence) == ([], 0)
    orders.do(order(1), 0)
    assert len(doing.done) == 1


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "verb", "arguments", "fence", "expires", "x"]), inner, max_size=6
        )
    ),
    max_leaves=12,
)


@given(ANYTHING)
def test_whatever_comes_is_an_order_or_an_error(found: Any) -> None:
    """No message of a server ends the agent."""
    try:
        read = Order.read(found)
    except MalformedError:
        return
    assert read.fence >= 1
