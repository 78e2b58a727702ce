"""Joining a fleet with a folder: whenever it is cut off, the same command goes on from there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hwledger.errors import ConflictError
from hwledger.fleet import joining
from hwledger.fleet.agent.state import Enrolment, Home
from hwledger.fleet.wire.enrolment import EnrolAnswer
from hwledger.fleet.wire.tokens import JoinToken, address_text

ASK_AGAIN_SECONDS: Final = 5.0
"""While an operator has not approved the host."""


@dataclass(frozen=True, slots=True)
class Joining:
    """What a machine says when it joins.

    Attributes:
        token: as it was given to this machine.
        name: of this machine.
        inventory: what it has.
        version: of hwledger.
    """

    token: JoinToken
    name: str
    inventory: Mapping[str, Any]
    version: str


def join(home: Home, wanted: Joining, *, pause: Callable[[float], bool]) -> Enrolment | None:
    """Join a fleet; return who this host is now, or ``None`` where it still waits to be approved.

    The key is on the disk before it is used, and that the host has joined is written last: killed at any
    moment, the same call goes on with the same key, and one use of the token is spent.

    Args:
        home: the agent's folder.
        wanted: what is said.
        pause: waits so many seconds before it is asked again whether the host was approved; what it returns
            says whether to ask.

    Raises:
        ConflictError: this folder has joined a fleet already.
        DeniedError: the server is not the one of the token, or refuses it.
        UnreachableError: it does not answer, or not usefully.
    """
    if home.has_joined():
        raise ConflictError(
            f"{home.folder}: has joined as host {home.enrolment().host} already; hwledger agent leave leaves"
        )
    generation, key = home.following()
    while True:
        answer = joining.join(
            wanted.token, key, name=wanted.name, machine=home.machine(), inventory=wanted.inventory,
            version=wanted.version,
        )  # fmt: skip
        if answer.state == "active":
            return _entered(home, wanted, generation, answer)
        if not pause(ASK_AGAIN_SECONDS):
            return None


def _entered(home: Home, wanted: Joining, generation: str, answer: EnrolAnswer) -> Enrolment:
    home.install(generation, answer.certificate, answer.authorities)
    made = Enrolment(
        host=answer.host,
        name=wanted.name,
        server=answer.agents_address,
        public=address_text(wanted.token.host, wanted.token.port),
        trust_domain=answer.trust_domain,
        checkpoint_key=answer.checkpoint_key,
    )
    home.enrol(made)
    return made
