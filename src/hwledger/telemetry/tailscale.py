"""``tailscale status --json``: the machines of a tailnet, which the fleet may ask."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from hwledger.telemetry.lenient import json_in
from hwledger.telemetry.reading import Absent, Reason
from hwledger.telemetry.recorded import Format
from hwledger.telemetry.snapshot import Peer, Sample

SOURCE: Final = "tailscale"
MOST: Final = 10_000
_STATES: Final = {
    "NeedsLogin": (Reason.NO_PERMISSION, "this machine is logged out of its tailnet; run: tailscale up"),
    "NeedsMachineAuth": (Reason.NO_PERMISSION, "this machine waits for an administrator's approval"),
    "Stopped": (Reason.ABSENT_TOOL, "tailscale is stopped; run: tailscale up"),
    "NoState": (Reason.ABSENT_TOOL, "tailscale has not started yet"),
    "Starting": (Reason.STALE, "tailscale is starting"),
}
"""Source: ``ipn/backend.go`` of tailscale, names of its states."""


def is_status(text: str) -> bool:
    """Whether a text is the status."""
    return text.lstrip().startswith("{") and '"BackendState"' in text


def read_status(text: str) -> Sample:
    """Return the machines of the tailnet, this one first; why there are none where it is not connected."""
    found = json_in(text)
    if not isinstance(found, dict):
        why = Absent(Reason.UNPARSED, "it is no whole JSON", SOURCE)
        return Sample(troubles=(f"tailscale: {why.detail}",), failure=why)
    state = str(found.get("BackendState"))
    if state != "Running":
        reason, says = _STATES.get(state, (Reason.UNPARSED, f"it is in the state {state[:40]!r}"))
        return Sample(troubles=(f"tailscale: {says}",), failure=Absent(reason, says, SOURCE))
    others = found.get("Peer")
    own = _peers([found.get("Self")], own=True)
    return Sample(peers=(*own, *_peers(list(others.values()) if isinstance(others, dict) else [], own=False)))


def _peers(rows: list[Any], *, own: bool) -> Iterator[Peer]:
    for row in rows[:MOST]:
        if isinstance(row, Mapping):
            addresses = row.get("TailscaleIPs")
            online = row.get("Online")
            yield Peer(
                name=str(row.get("HostName") or "")[:253],
                domain=str(row.get("DNSName") or "")[:253].rstrip("."),
                addresses=tuple(str(each)[:64] for each in addresses) if isinstance(addresses, list) else (),
                online=online if isinstance(online, bool) else None,
                system=str(row.get("OS") or "")[:40], own=own,
            )  # fmt: skip


FORMATS: Final = (Format("tailscale status --json", is_status, read_status),)
