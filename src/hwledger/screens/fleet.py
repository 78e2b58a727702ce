"""The fleet's screens: hosts, join tokens and users; rows and lines of what the API answers."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hwledger.screens.column import Column
from hwledger.units import format_bytes

HOST_HEADS: Final = (
    Column("name"), Column("state"), Column("online"), Column("last seen", rank=1),
    Column("devices", rank=2, wraps=True), Column("labels", rank=4), Column("agent", rank=5),
    Column("id", rank=3), Column("note", rank=1, wraps=True),
)  # fmt: skip
TOKEN_HEADS: Final = (
    Column("token"), Column("uses left", right=True), Column("expires"), Column("labels", rank=1),
    Column("approve", rank=2), Column("made by", rank=3),
)  # fmt: skip
USER_HEADS: Final = (
    Column("id"), Column("user"), Column("role"), Column("made", rank=2), Column("expires", rank=1),
    Column("revoked", rank=1),
)  # fmt: skip
_SHORT: Final = 12
_LATE_MS: Final = 5000


def host_rows(hosts: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return a row per host, as in ``HOST_HEADS``."""
    return [
        (
            host["name"] or "-",
            host["state"],
            "yes" if host["online"] else "no",
            moment(host["last_seen"]),
            devices(host["inventory"]),
            labels(host["labels"]),
            host["agent_version"] or "",
            host["id"],
            _note(host),
        )
        for host in hosts
    ]


def _note(host: Mapping[str, Any]) -> str:
    """Return what somebody has to see to; empty: nothing."""
    offset = host["clock_offset_ms"] or 0
    notes = (
        f"ALARM: {host['alarm']}" if host["alarm"] else "",
        str(host["reason"] or ""),
        f"clock {offset / 1000:+.0f} s" if abs(offset) >= _LATE_MS else "",
        "waits: hwledger host approve" if host["state"] == "waiting" else "",
    )
    return "; ".join(filter(None, notes))


def host_lines(host: Mapping[str, Any]) -> list[str]:
    """Return all that is known of a host, a line each."""
    spool, has = host["spool_bytes"], host["inventory"] or {}
    told = {
        "name": host["name"] or "-",
        "id": host["id"],
        "state": f"{host['state']}{', online' if host['online'] else ''}",
        "reason": host["reason"],
        "alarm": host["alarm"],
        "last seen": moment(host["last_seen"]) or "never",
        "labels": labels(host["labels"]),
        "agent": host["agent_version"],
        "certificate": f"until {moment(host['not_after'])}" if host["not_after"] else None,
        "clock": f"{host['clock_offset_ms']:+d} ms" if host["clock_offset_ms"] is not None else None,
        "to be sent": format_bytes(spool) if spool else None,
        "system": has.get("system"),
        "processor": has.get("processor"),
        "memory": format_bytes(has["memory_bytes"]) if isinstance(has.get("memory_bytes"), int) else None,
        "devices": devices(has) or ("none found" if has else None),
        "engines": ", ".join(map(str, has["engines"])) if isinstance(has.get("engines"), list) else None,
    }
    width = max(map(len, told))
    return [f"{name:<{width}}  {value}" for name, value in told.items() if value]


def token_rows(tokens: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return a row per join token, as in ``TOKEN_HEADS``."""
    return [
        (
            token["hash"][:_SHORT],
            str(token["uses_left"]),
            moment(token["expires"]),
            labels(token["labels"]),
            "yes" if token["approve"] else "no",
            token["created_by"] or "",
        )
        for token in tokens
    ]


def user_rows(tokens: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return a row per token of a user, as in ``USER_HEADS``."""
    return [
        (
            token["id"],
            token["user"],
            token["role"],
            moment(token["created"]),
            moment(token["expires"]) or "never",
            moment(token["revoked"]),
        )
        for token in tokens
    ]


def labels(found: Mapping[str, str]) -> str:
    """Return labels in a line."""
    return " ".join(f"{name}={value}" for name, value in sorted(found.items()))


def devices(inventory: Mapping[str, Any] | None) -> str:
    """Return the devices of an inventory in a line: equal ones counted."""
    listed = (inventory or {}).get("devices")
    names = (
        [str(one.get("name", "?")) for one in listed if isinstance(one, Mapping)]
        if isinstance(listed, list)
        else []
    )
    return ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names))


def moment(text: str | None) -> str:
    """Return a time as lists show it, in UTC; empty: never."""
    return f"{text[:10]} {text[11:19]}" if text else ""
