"""The catalogue screen: which catalogue is in force, which there are, and what a change brought."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from hwledger.library.catalogue.store import Move, Update, Version
from hwledger.screens.column import Column
from hwledger.screens.models import counted

SHOWN: Final = 5
SCHEMA: Final = "hwledger.catalogue-command/1"
VERSION_HEADS: Final = (
    Column(""), Column("version"), Column("models", right=True, rank=2), Column("installed", rank=1),
    Column("dated", rank=3), Column("source", wraps=True),
)  # fmt: skip


def update_lines(update: Update) -> list[str]:
    """Return what an update brought, in sentences."""
    dated = f", dated {update.stated}" if update.stated else ""
    what = f"version {update.version}{dated}: {counted(update.rows)} from {update.source}"
    kinds = (("added", update.added), ("removed", update.removed), ("changed", update.changed))
    told = [f"{kind}: {len(ids)} ({_some(ids)})" for kind, ids in kinds if ids]
    return [what, *(told or ["the models are those of before"]), _before(update.previous, update.version)]


def move_lines(move: Move) -> list[str]:
    """Return what pin or undo did, in sentences."""
    aside = [f"the damaged record of installed catalogues is now {move.aside}"] if move.aside else []
    return [f"in use: {move.version}", _before(move.previous, move.version), *aside]


def version_rows(versions: Sequence[Version]) -> list[tuple[str, ...]]:
    """Return a row per version, as in ``VERSION_HEADS``."""
    return [
        ("*" if one.active else "", _called(one), str(one.rows), one.date, one.stated, one.source)
        for one in versions
    ]


def update_document(update: Update) -> dict[str, Any]:
    """Return an update for JSON."""
    return {"schema": SCHEMA, "command": "update"} | asdict(update)


def move_document(action: str, move: Move) -> dict[str, Any]:
    """Return what ``pin`` or ``undo`` did for JSON."""
    return {"schema": SCHEMA, "command": action, "version": move.version, "previous": move.previous,
            "damaged_record": str(move.aside) if move.aside else None}  # fmt: skip


def path_document(version: Version) -> dict[str, Any]:
    """Return the catalogue in force for JSON."""
    return {"schema": SCHEMA, "command": "path"} | _fields(version)


def versions_document(versions: Sequence[Version]) -> dict[str, Any]:
    """Return all versions for JSON."""
    return {"schema": SCHEMA, "command": "list", "versions": [_fields(one) for one in versions]}


def _fields(version: Version) -> dict[str, Any]:
    return asdict(version) | {"path": str(version.path)}


def _called(version: Version) -> str:
    return version.version if version.name == version.version else f"{version.name} ({version.version})"


def _before(previous: str, now: str) -> str:
    return f"before: {previous}" if previous != now else "it was in use before, too"


def _some(ids: Sequence[str]) -> str:
    more = [f"and {len(ids) - SHOWN} more"] if len(ids) > SHOWN else []
    return ", ".join([*ids[:SHOWN], *more])
