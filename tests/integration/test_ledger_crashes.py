"""Processes that are killed, and logs that are damaged, with real files."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hwledger.errors import AlteredError
from hwledger.ledger.audit import audit
from hwledger.ledger.chain import Head
from hwledger.ledger.note import Checkpoint
from hwledger.ledger.sqlite import SqliteReader, SqliteStore
from support.events import events
from support.postgres import programs

pytestmark = pytest.mark.requirement("NFR-LEDGER-CRASH")
KILL = Path(__file__).parents[1] / "faults/kill_writer.py"


def test_fifty_kills_in_mid_append_lose_nothing() -> None:
    """A process with 8 producers is killed 50 times: all it acknowledged is there, under the same hashes."""
    done = subprocess.run(
        [sys.executable, KILL, "--times", "50"], capture_output=True, text=True, check=False, timeout=300
    )
    found = json.loads(done.stdout)
    assert (found["kills"], found["lost"], found["broken"]) == (50, 0, 0), done.stderr
    assert found["acknowledged"] > 500
    assert done.returncode == 0


@pytest.mark.skipif(programs() is None, reason="no PostgreSQL server is installed here (Debian: postgresql)")
def test_fifty_kills_lose_nothing_on_a_server() -> None:
    """The same with the ledger on PostgreSQL, of which all processes are killed, too."""
    done = subprocess.run(
        [sys.executable, KILL, "--times", "50", "--postgresql"],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert (found["kills"], found["lost"], found["broken"]) == (50, 0, 0), done.stderr
    assert found["server_kills"] == 1
    assert found["acknowledged"] > 500
    assert done.returncode == 0


@pytest.fixture(scope="module")
def in_the_log(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Checkpoint, list[Head]]:
    """Return a copy of a ledger whose last events lie in its log, what it was, and each head on its way."""
    folder = tmp_path_factory.mktemp("log")
    with SqliteStore(folder / "ledger.db", origin="a") as store:
        heads = [Head()]
        for number in range(60):
            store.append(events(3, number * 3))
            heads.append(store.head())
        shutil.copytree(folder, folder.with_name("log-copy"))
        with SqliteReader(folder / "ledger.db") as reader:
            whole = audit(reader).checkpoint
    return folder.with_name("log-copy"), whole, heads


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_log_opens_as_a_prefix_and_a_witness_shows_it(
    in_the_log: tuple[Path, Checkpoint, list[Head]], tmp_path: Path, seed: int
) -> None:
    """After a cut or a flipped bit, a whole commit of the past opens, and a checkpoint names the rest."""
    folder, whole, heads = in_the_log
    path = shutil.copytree(folder, tmp_path / "copy") / "ledger.db"
    log, chance = path.with_name("ledger.db-wal"), random.Random(seed)
    raw = bytearray(log.read_bytes())
    at = chance.randrange(len(raw))
    if seed % 2:
        raw = raw[:at]
    else:
        raw[at] ^= 1 << chance.randrange(8)
    log.write_bytes(raw)
    with SqliteStore(path) as store:
        head = store.head()
    assert head in heads
    with SqliteReader(path) as reader:
        assert audit(reader).head == head
        if head != heads[-1]:
            with pytest.raises(AlteredError, match=f"events {head.seq + 1} to {whole.size} are missing"):
                audit(reader, [whole])
