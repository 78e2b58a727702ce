"""What hosts say of themselves on a terminal: shown, and never acted on."""

import io
import json
from typing import Any

import pytest

from hwledger.cli import asking
from hwledger.cli import run as call

pytestmark = pytest.mark.requirement("FR-FLEET-CLI")
EVIL = "a\x1b[2J\x9b31m\u202e\x07b"
FOUND: dict[str, Any] = {
    "id": "01a2", "name": "box", "state": "banned", "online": True, "last_seen": "", "labels": {"rack": EVIL},
    "inventory": {"devices": [{"name": EVIL}]}, "inventory_sha256": "", "agent_version": EVIL, "reason": EVIL,
    "clock_offset_ms": 0, "not_after": "", "alarm": EVIL, "spool_bytes": None,
}  # fmt: skip


class _Server:
    @staticmethod
    def get(_page: str) -> dict[str, Any]:
        """Return a host that says what moves a cursor."""
        return FOUND


class _Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        """Return what a terminal does."""
        return True


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_terminal_is_told_nothing_by_a_host(monkeypatch: pytest.MonkeyPatch, more: list[str]) -> None:
    """No control character and no mark of direction gets through; the text is still told."""
    said = _Terminal()
    monkeypatch.setattr(asking, "server", _Server)
    monkeypatch.setattr("sys.stdout", said)
    assert call(["host", "show", "01a2", *more]) == 0
    text = said.getvalue()
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "31m" in text
    if more:
        assert json.loads(text) == FOUND
