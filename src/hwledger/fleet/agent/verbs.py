"""What an agent does when it is told to: the closed list of ``fleet.verbs``, each at most once.

That a command is begun is on the disk before it is begun, and its answer before it is given: an agent that is
killed in between says so afterwards and does not begin it again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from hwledger.errors import HwledgerError, MalformedError
from hwledger.fleet.agent.state import Home
from hwledger.fleet.verbs import check_order
from hwledger.fleet.wire.reading import moment_of
from hwledger.fleet.wire.reports import LONGEST_DETAIL

Doer = Callable[[Mapping[str, Any]], str]
"""Does one verb; returns what it found. What it raises is the answer ``failed``."""
_INTERRUPTED: Final = "the agent ended while it did this; whether it was done is not known"


@dataclass(frozen=True, slots=True)
class Order:
    """A command as it came.

    Attributes:
        id: of the command.
        verb: what to do.
        arguments: with what.
        fence: its number.
        expires: until when it may be begun, microseconds by the server's clock.
    """

    id: str
    verb: str
    arguments: Mapping[str, Any]
    fence: int
    expires: int

    @classmethod
    def read(cls, found: Any) -> "Order":
        """Return the order of a message.

        Raises:
            MalformedError: it is none.
        """
        if not isinstance(found, dict) or not isinstance(found.get("arguments"), dict):
            raise MalformedError("the server gave a command that is none")
        fence = found.get("fence")
        names = (found.get("id"), found.get("verb"))
        if type(fence) is not int or fence < 1 or not all(isinstance(name, str) and name for name in names):
            raise MalformedError("the server gave a command without a number, an id or a verb")
        expires = moment_of(found.get("expires"), "the end of a command")
        return cls(str(names[0]), str(names[1]), found["arguments"], fence, expires)


class Orders:
    """Does what the server orders, in the order of the numbers, none twice.

    Args:
        home: where it is kept how far they are.
        doers: what does each verb; one that is on the list and not here is refused.
    """

    def __init__(self, home: Home, doers: Mapping[str, Doer]) -> None:
        self._home, self._doers = home, doers
        self._told = home.told()
        if self._told.begun:
            self._answer(self._told.begun, self._told.fence, "failed", _INTERRUPTED)

    @property
    def fence(self) -> int:
        """Return the number of the last command that was begun."""
        return self._told.fence

    def answers(self) -> dict[str, dict[str, Any]]:
        """Return the answers that the server has not taken, by command."""
        return dict(self._told.answers)

    def taken(self, command: str) -> None:
        """Forget an answer that the server has."""
        left = {name: answer for name, answer in self._told.answers.items() if name != command}
        self._keep(replace(self._told, answers=left))

    def do(self, order: Order, now: int) -> None:
        """Do what is ordered; what was begun before is not begun again.

        Args:
            order: what to do.
            now: microseconds by the server's clock.
        """
        if order.fence <= self._told.fence:
            return
        refusal = self._refusal(order, now)
        if refusal:
            self._answer(order.id, order.fence, "refused", refusal)
            return
        self._keep(replace(self._told, fence=order.fence, begun=order.id))
        try:
            result, detail = "done", self._doers[order.verb](order.arguments)
        except HwledgerError as error:
            result, detail = "failed", str(error)
        except Exception as error:  # noqa: BLE001 - whatever a verb does, the agent goes on
            result, detail = "failed", f"{type(error).__name__}: {error}"
        self._answer(order.id, order.fence, result, detail)

    def _refusal(self, order: Order, now: int) -> str:
        if order.expires <= now:
            return "it came after its time"
        try:
            check_order(order.verb, order.arguments)
        except HwledgerError as error:
            return str(error)
        return "" if order.verb in self._doers else f"this agent does not do {order.verb}"

    def _answer(self, command: str, fence: int, result: str, detail: str) -> None:
        shown = "".join(one if one.isprintable() else " " for one in detail)[:LONGEST_DETAIL]
        answer = {"fence": fence, "result": result, "detail": shown}
        self._keep(
            replace(self._told, fence=fence, begun="", answers={**self._told.answers, command: answer})
        )

    def _keep(self, told: Any) -> None:
        self._home.keep_told(told)
        self._told = told
