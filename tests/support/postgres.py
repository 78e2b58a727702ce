"""A PostgreSQL server of the tests' own: real, with fsync, on a socket in a folder and on loopback."""

import _socket
import getpass
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg

PLACES = ("/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt/postgresql")
SECRET = "a canary that no sentence shows"  # noqa: S105 - of a server on loopback


def programs() -> Path | None:
    """Return the folder of the newest server's programs; ``None``: there is none here."""
    found = [path.parent for place in PLACES for path in Path(place).glob("*/bin/initdb")]
    found += [Path(place) / "bin" for place in PLACES if (Path(place) / "bin/initdb").exists()]
    on_path = shutil.which("initdb")
    return max(found, default=Path(on_path).parent if on_path else None)


@dataclass
class Server:
    """A server that can be stopped, killed and started again."""

    programs: Path
    folder: Path
    port: int
    databases: int = 0
    options: list[str] = field(default_factory=list)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def user(self) -> str:
        """Return who owns the server."""
        return owner() or getpass.getuser()

    def address(self, database: str = "postgres", *, user: str | None = None, secret: str = "") -> str:
        """Return an address on the server's socket; with a password, on loopback, where it is asked for."""
        if secret:
            return f"postgresql://{user}:{secret.replace(' ', '%20')}@127.0.0.1:{self.port}/{database}"
        return f"postgresql://{user or self.user}@/{database}?host={self.folder}&port={self.port}"

    def new_database(self, options: str = "") -> str:
        """Return the address of an empty database."""
        self.databases += 1
        name = f"d{self.databases}"
        self.run(f"CREATE DATABASE {name} {options}")
        return self.address(name)

    def new_schema(self) -> str:
        """Return the address of an empty schema of a database that others use, too; a tenth of the cost."""
        self.databases += 1
        name = f"s{self.databases}"
        self.run(f"CREATE SCHEMA {name}")
        return f"{self.address()}&options=-csearch_path%3D{name}"

    def run(self, statement: str, address: str | None = None) -> list[tuple[Any, ...]]:
        """Return what a statement of a superuser gives."""
        with psycopg.connect(address or self.address(), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        command = [
            str(self.programs / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port),
            "-k", str(self.folder), "-c", "listen_addresses=127.0.0.1", *self.options,
        ]  # fmt: skip
        if sys.platform == "linux":  # after a crash, else each of some thousand files is synced by itself
            command += ["-c", "recovery_init_sync_method=syncfs"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(as_owner(command), stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + 300
        while True:
            try:
                self.run("SELECT 1")
            except psycopg.OperationalError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text()[-2000:]) from None
                time.sleep(0.05)
            else:
                return

    def stop(self, number: int = signal.SIGINT) -> None:
        """End the server: in order (SIGINT), or at once (SIGQUIT), and wait for it."""
        if self.process is None:
            return
        os.kill(self.process.pid, number)
        self.process.wait()
        self.process = None

    def kill(self) -> None:
        """Kill every process of the server at once, as a crash of its machine does."""
        if self.process is None:
            return
        those = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        for one in those:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(those[1:])
        self.process.wait()
        self.process = None
        (self.folder / "data/postmaster.pid").unlink(missing_ok=True)


def owner() -> str | None:
    """Return whom the server runs as where the tests are root, which it refuses; ``None``: as they are."""
    if os.getuid():
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


def as_owner(command: list[str]) -> list[str]:
    """Return a command as the server's owner runs it."""
    name = owner()
    if name is None:
        return command
    entry = pwd.getpwnam(name)
    return [
        "setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups", *command
    ]  # fmt: skip


@contextmanager
def server(found: Path, options: tuple[str, ...] = (), folder: Path | None = None) -> Iterator[Server]:
    """Give a new server, in a folder of its own with a short name (a socket's path has 107 bytes)."""
    place = folder or Path(tempfile.mkdtemp(prefix="hwpg-"))
    name = owner()
    if name:
        shutil.chown(place, name)
    place.chmod(0o755)
    try:
        initdb = [
            str(found / "initdb"), "-D", str(place / "data"), "--auth-local=trust",
            "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions",
        ]  # fmt: skip
        subprocess.run(as_owner(initdb), check=True, capture_output=True, cwd=place)
        made = Server(found, place, free_port(), options=list(options))
        made.start()
        made.run(f"CREATE ROLE guest LOGIN PASSWORD '{SECRET}'")
        try:
            yield made
        finally:
            made.stop(signal.SIGQUIT)
    finally:
        if folder is None:
            shutil.rmtree(place, ignore_errors=True)


def free_port() -> int:
    """Return a port of loopback that nobody listens at."""
    one = _socket.socket()  # tests have no other
    try:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
    finally:
        one.close()
