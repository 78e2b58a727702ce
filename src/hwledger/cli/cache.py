"""``hwledger cache``."""

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from hwledger.runner.cache.store import BlockStore, Stats


@click.group("cache")
def command() -> None:
    """Look at, check and empty what engines computed of prompts and ``run --prompt-cache`` kept on disk."""


@command.command("stats")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (hwledger.cache/1).")
def stats(*, as_json: bool) -> None:
    """Say what is kept, for which engines, how often it was of use, and what was written to the disk."""
    found = _store().stats()
    if as_json:
        from hwledger.cli.output import write_json

        write_json(_document(found))
        return
    from hwledger.cli.table import write_lines
    from hwledger.units import format_bytes

    counted = found.counters
    engines = ", ".join(f"{name} {format_bytes(size)}" for name, size in sorted(found.by_engine.items()))
    held = f"{format_bytes(found.size_bytes)}{f' ({engines})' if engines else ''}"
    used = f"{counted['hits']:,} hits, {counted['misses']:,} misses"
    gone = f"{counted['evicted_blocks']:,} blocks removed for room, {counted['refused_blocks']:,} refused"
    worn = f"{format_bytes(counted['written_bytes'])} in {counted['written_blocks']:,} blocks"
    write_lines([
        f"{found.blocks:,} blocks, {held} in {found.folder}", f"{used}, {gone}",
        f"written to this disk: {worn}",
    ])  # fmt: skip


@command.command("verify")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (hwledger.cache/1).")
def verify(*, as_json: bool) -> None:
    """Read all of it, and remove what is not just as it was written."""
    right, wrong = _store().verify()
    if as_json:
        from hwledger.cli.output import write_json

        write_json({"schema": "hwledger.cache/1", "right": right, "removed": wrong})
        return
    from hwledger.cli.table import write_lines

    write_lines([f"{right:,} blocks are right, {wrong:,} were not and are removed"])


@command.command("clear")
def clear() -> None:
    """Remove all of it."""
    from hwledger.cli.table import write_lines
    from hwledger.units import format_bytes

    write_lines([f"{format_bytes(_store().clear())} removed"])


def _store() -> "BlockStore":
    from hwledger.runner.cache.store import BlockStore
    from hwledger.runner.logs import prompts_folder

    return BlockStore(prompts_folder())


def _document(found: "Stats") -> dict[str, Any]:
    return {
        "schema": "hwledger.cache/1", "folder": str(found.folder), "blocks": found.blocks,
        "bytes": found.size_bytes, "bytes_by_engine": found.by_engine, **found.counters,
    }  # fmt: skip
