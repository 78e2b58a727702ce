"""``hwledger ledger``: a ledger in a file or on PostgreSQL, with no server of hwledger."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hwledger.ledger.audit import Report
    from hwledger.ledger.note import Checkpoint, VerifierKey
    from hwledger.ledger.reader import SqlReader
    from hwledger.ledger.writer import SqlStore

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
_STEP = 100_000
FILE = click.argument("file", metavar="[FILE]", required=False)


@click.group("ledger")
def command() -> None:
    """Check, prove, sign, export, copy and move a ledger; none of it needs a server of hwledger.

    FILE is a path, sqlite:///path or postgresql://user@host/database; where none is given the local ledger:
    HWLEDGER_LEDGER, or ledger.db in hwledger's data folder.
    """


@command.command("verify")
@FILE
@click.option("--note", "notes", multiple=True, metavar="FILE", help="A signed checkpoint that was seen.")
@click.option("--key", metavar="KEY", help="Who signs: a line name+id+key, or a file that holds it.")
@AS_JSON
def verify_command(file: str | None, notes: tuple[str, ...], key: str | None, *, as_json: bool) -> None:
    """Check every event, hash and checkpoint of FILE; exit code 4 where it is not what was written.

    The last checkpoint that was signed on this machine is held against it, and those of --note.
    """
    from hwledger.cli.output import write_json
    from hwledger.cli.table import write_lines
    from hwledger.ledger.audit import audit
    from hwledger.screens.ledger import verify_document, verify_lines

    with opened_reader(file) as reader:
        public = _public(reader.origin, key)
        report = audit(reader, list(_seen(reader.origin, notes, public)), public)
        if as_json:
            write_json(verify_document(report))
        else:
            write_lines(verify_lines(report, reader.name))


@command.command("prove")
@click.argument("file")
@click.argument("seq", type=click.IntRange(1))
@click.option("--size", type=click.IntRange(1), metavar="N", help="As of this size; all if not given.")
@AS_JSON
def prove_command(file: str, seq: int, size: int | None, *, as_json: bool) -> None:
    """Prove that event SEQ is in FILE: the hashes that lead from it to the root (RFC 9162)."""
    from hwledger.cli.output import write_json
    from hwledger.cli.table import write_lines
    from hwledger.errors import UsageError
    from hwledger.ledger.merkle import inclusion_proof, root_at
    from hwledger.ledger.note import Checkpoint
    from hwledger.screens.ledger import proof_document, proof_lines

    with opened_reader(file) as reader:
        entry, last = reader.get(seq), reader.head().seq
        size = size or last
        if not seq <= size <= last:
            raise UsageError(f"--size is {seq} to {last} for event {seq} of this ledger, not {size}")
        with reader.nodes() as nodes:
            hashes = inclusion_proof(seq - 1, size, nodes)
            shown = Checkpoint(reader.origin, size, root_at(size, nodes))
        note = reader.notes().get(size)
        made = proof_document(shown, entry, hashes, note)
    if as_json:
        write_json(made)
    else:
        write_lines(proof_lines(made))


@command.command("checkpoint")
@FILE
@click.option("--key-file", metavar="FILE", help="The key that signs; made where there is none.")
def checkpoint_command(file: str | None, key_file: str | None) -> None:
    """Check FILE, sign what it is now, and print the checkpoint: give it to others, who can hold FILE to it.

    The key lies in hwledger's data folder, apart from the ledger; the key to check with goes to stderr.
    """
    with _opened_store(file) as store:
        _, note = _signed(store, key_file)
    sys.stdout.write(note)


@command.command("freeze")
@FILE
@click.option("--key-file", metavar="FILE", help="The key that signs; made where there is none.")
def freeze_command(file: str | None, key_file: str | None) -> None:
    """Check and sign FILE, and seal its events in a file beside it that nothing is added to any more.

    FILE goes on behind them, under the same name and numbers, and is read as one with what is sealed; the
    sealed file has to stay beside it. Stop the server of the ledger first.
    """
    from hwledger.freezing import freeze_ledger, shrink_ledger

    path = _ledger(file)
    with _opened_store(file) as store:
        report, note = _signed(store, key_file)
        sealed = freeze_ledger(store, report.checkpoint, note)
        name = store.name
    shrink_ledger(path)
    click.echo(f"{sealed}: events up to {report.head.seq:,} of {report.origin}, sealed; {name} goes on")


def _opened_store(file: str | None) -> "SqlStore":
    """Return a ledger that is there for writing, without projections."""
    from hwledger.ledger.opening import open_store

    opened_reader(file).close()  # an error where there is none: nothing is made
    return open_store(_ledger(file), projections=())


def _signed(store: "SqlStore", key_file: str | None) -> "tuple[Report, str]":
    """Return what a check of a ledger found, and the signed checkpoint of it, which is kept."""
    from hwledger.ledger.audit import audit
    from hwledger.ledger.keys import key_path, note_path, signing_key
    from hwledger.ledger.note import signed, verifier_key
    from hwledger.library.files import write_whole

    origin = store.origin
    key = signing_key(Path(key_file) if key_file else key_path(keys_folder(), origin), origin)
    public = verifier_key(origin, key)
    report = audit(store, list(_seen(origin, (), public)), public)
    note = store.notes().get(report.head.seq) or signed(report.checkpoint, key)
    keys_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(note_path(keys_folder(), origin), note.encode())
    store.keep_note(note, report.head.seq)
    sys.stderr.write(f"hwledger: checked with the key {public.text()}\n")
    return report, note


@command.command("export")
@FILE
@click.option("--after", type=click.IntRange(0), default=0, metavar="SEQ", help="Only events after this one.")
def export_command(file: str | None, after: int) -> None:
    """Print the events of FILE, a line each, byte for byte what was hashed: line n is event n."""
    from hwledger.ledger.copies import exported

    with opened_reader(file) as reader:
        for lines in exported(reader, after):
            sys.stdout.buffer.write(lines)


@command.command("backup")
@click.argument("file")
@click.argument("target")
def backup_command(file: str, target: str) -> None:
    """Copy FILE to the file TARGET, also while others write it, and check the copy."""
    from hwledger.ledger.copies import backup
    from hwledger.ledger.moving import backup_whole

    source = _ledger(file)
    if isinstance(source, Path):
        report = backup(source, _path(target))
    else:
        report = backup_whole(source, _path(target))
    click.echo(f"{target}: {report.head.seq:,} events of {report.origin}, checked")


@command.command("restore")
@click.argument("source", metavar="BACKUP")
@FILE
def restore_command(source: str, file: str | None) -> None:
    """Check BACKUP and put it where FILE was; a file that is there is not replaced."""
    from hwledger.errors import UsageError
    from hwledger.ledger.copies import restore

    target = _ledger(file)
    if isinstance(target, str):
        raise UsageError(
            "a backup is put back as a file; hwledger ledger migrate BACKUP ADDRESS copies it there"
        )
    report = restore(_path(source), target)
    click.echo(f"{target}: {report.head.seq:,} events of {report.origin}, checked")
    for line in _missing(report.origin, report.head.seq):
        click.echo(f"hwledger: note: {line}", err=True)


@command.command("migrate")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
def migrate_command(source: str, target: str) -> None:
    """Copy the ledger FROM, with its checkpoints, byte for byte to TO: from a file to PostgreSQL, or back.

    Nobody may write either meanwhile. TO has no ledger yet, or a beginning of this one, which is continued;
    all of it is there at the end, or nothing more than before.
    """
    from hwledger.ledger.moving import migrate

    head = migrate(_ledger(source), _ledger(target), _Progress())
    with opened_reader(target) as reader:
        click.echo(f"{reader.name}: {head.seq:,} events of {reader.origin}, chain {head.chain.hex()}")


class _Progress:
    """Says on stderr how far a long copy is, each time another hundred thousand events are there."""

    def __init__(self) -> None:
        self._next = _STEP

    def __call__(self, done: int, total: int) -> None:
        if done >= self._next:
            click.echo(f"hwledger: {done:,} of {total:,} events", err=True)
            self._next = done - done % _STEP + _STEP


def _missing(origin: str, size: int) -> list[str]:
    """Return what to say where more had been signed than was put back."""
    from hwledger.ledger.keys import note_path, text_of
    from hwledger.ledger.note import unverified

    path = note_path(keys_folder(), origin)
    last = unverified(text_of(path)).size if path.exists() else 0
    lost = f"events {size + 1} to {last} were signed on this machine and are not in this backup"
    return [f"{lost}; who has seen them will refuse this ledger"] if last > size else []


def opened_reader(file: str | None) -> "SqlReader":
    """Return a ledger for reading: a file, one on a server, or the local one."""
    from hwledger.ledger.opening import open_reader

    return open_reader(_ledger(file))


def _ledger(file: str | None) -> Path | str:
    from hwledger.history import ledger_at, local_ledger

    return local_ledger() if file is None else ledger_at(file)


def _path(text: str) -> Path:
    """Return a file.

    Raises:
        UsageError: it is an address of PostgreSQL, where only a file can be.
    """
    from hwledger.errors import UsageError
    from hwledger.history import ledger_at

    found = ledger_at(text)
    if isinstance(found, str):
        raise UsageError("a backup is a file, and this is an address; hwledger ledger migrate copies to one")
    return found


def keys_folder() -> Path:
    """Return the folder of the keys that sign, and of the notes that were signed last."""
    from hwledger.library.paths import data_dir

    return data_dir() / "ledger-keys"


def _public(origin: str, given: str | None) -> "VerifierKey | None":
    from hwledger.ledger.keys import public_key, text_of
    from hwledger.ledger.note import VerifierKey

    if given is None:
        return public_key(keys_folder(), origin)
    return VerifierKey.read(given if given.count("+") > 1 else text_of(_path(given)))


def _seen(origin: str, notes: "Iterable[str]", key: "VerifierKey | None") -> "Iterable[Checkpoint]":
    """Yield the checkpoints from outside of the file, each with its signature checked.

    Raises:
        UsageError: there are some, and nothing says whose key signs.
    """
    from hwledger.errors import UsageError
    from hwledger.ledger.keys import note_path, text_of
    from hwledger.ledger.note import opened

    own = note_path(keys_folder(), origin)
    paths = [*map(_path, notes), *([own] if own.exists() else [])]
    if paths and key is None:
        raise UsageError(f"whose key signs for {origin} is not known here; give it with --key")
    for path in paths:
        if key is not None:
            yield opened(text_of(path), key)
