"""What a host can be told to do: a closed list, as data; no shell is among it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from hwledger.errors import UnknownOptionError
from hwledger.fleet.wire.schemas import check
from hwledger.shipped import shipped_text


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing that a host can be told to do.

    Attributes:
        name: of the verb.
        about: what the host then does.
        arguments: the JSON Schema of its arguments.
    """

    name: str
    about: str
    arguments: Mapping[str, Any]


@cache
def verbs() -> Mapping[str, Verb]:
    """Return the verbs by name."""
    rows = json.loads(shipped_text("hwledger.fleet", "data/verbs.json"))
    return {name: Verb(name, row["about"], row["arguments"]) for name, row in rows.items()}


def check_order(verb: str, arguments: Mapping[str, Any]) -> None:
    """Hold an order against the list; server and agent both do.

    Raises:
        UnknownOptionError: there is no such verb.
        MalformedError: its arguments are not what its schema says.
    """
    known = verbs().get(verb)
    if known is None:
        raise UnknownOptionError("verb", verb[:40], sorted(verbs()))
    check(known.arguments, arguments, f"the arguments of {verb}")
