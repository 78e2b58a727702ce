"""The store of prompt caches: what it gives out is what was put there, whatever happens to its files."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.runner.cache.arrays import pack, unpack
from hwledger.runner.cache.blockfile import read_block, write_block
from hwledger.runner.cache.fingerprint import fingerprint
from hwledger.runner.cache.keys import Scope, chain
from hwledger.runner.cache.store import TOGETHER_S, BlockStore
from support.spoiling import SPOILS, spoiled

pytestmark = pytest.mark.requirement("FR-RUN-CACHE")
SCOPE = Scope(engine="mlx", engine_version="1", weights="w", kv_type="float16", block_tokens=4)
TOKENS = list(range(12))


def files(store: BlockStore) -> list[Path]:
    """Return the files of its blocks."""
    return sorted((store.folder / "blocks").glob("*/*"))


def put(store: BlockStore, key: str, content: bytes, tokens: int = 4) -> bool:
    """Keep a content."""
    return store.put(key, content, engine="mlx", tokens=tokens)


class TestKeys:
    """Two prompts share a key where everything up to there is the same."""

    def test_a_key_depends_on_all_tokens_up_to_its_end(self) -> None:
        """A changed token changes its block's key and all later ones; a part of a block has none."""
        keys = chain(SCOPE, TOKENS)
        assert len(keys) == len(set(keys)) == 3
        assert chain(SCOPE, TOKENS[:11]) == keys[:2]
        changed = chain(SCOPE, [*TOKENS[:5], 99, *TOKENS[6:]])
        assert changed[0] == keys[0]
        assert not set(changed[1:]) & set(keys)

    @pytest.mark.parametrize(
        "other",
        [{"engine": "x"}, {"engine_version": "2"}, {"weights": "v"}, {"kv_type": "float32"},
         {"block_tokens": 2}, {"adapter": "a"}, {"settings": {"device": "gpu"}}],
    )  # fmt: skip
    def test_a_key_depends_on_everything_else(self, other: dict[str, object]) -> None:
        """Another engine, version, model, type, block size, adapter or setting shares nothing."""
        scope = replace(SCOPE, **other)  # type: ignore[arg-type]
        assert not set(chain(scope, TOKENS)) & set(chain(SCOPE, TOKENS))

    @given(st.lists(st.integers(0, 2**32 - 1), max_size=20), st.lists(st.integers(0, 2**32 - 1), max_size=20))
    def test_shared_keys_are_shared_beginnings(self, one: list[int], other: list[int]) -> None:
        """For any two prompts: as many keys are the same as whole blocks of them are."""
        same = sum(a == b for a, b in zip(chain(SCOPE, one), chain(SCOPE, other), strict=False))
        blocks = min(len(one), len(other)) // 4
        common = next(
            (at for at in range(blocks) if one[4 * at : 4 * at + 4] != other[4 * at : 4 * at + 4]), blocks
        )
        assert same == common


class TestStore:
    """Blocks by key."""

    def test_what_is_kept_comes_back(self, tmp_path: Path) -> None:
        """Under its key and its other ones, in another process too; nothing under any other key."""
        store = BlockStore(tmp_path / "new")
        assert store.get("a") is None
        assert store.put("a", b"content", engine="mlx", tokens=8, also=["b"])
        assert not put(store, "a", b"another")
        again = BlockStore(tmp_path / "new")
        assert [again.get(key) for key in "abc"] == [b"content", b"content", None]
        found = again.stats()
        assert (found.blocks, found.by_engine) == (1, {"mlx": found.size_bytes})
        assert (found.counters["hits"], found.counters["misses"]) == (2, 2)
        assert found.counters["written_bytes"] == found.size_bytes == files(store)[0].stat().st_size

    @pytest.mark.parametrize("name", SPOILS)
    def test_whatever_is_spoiled_is_a_miss(self, tmp_path: Path, name: str) -> None:
        """A key gives what was put under it or nothing, whatever was done to files and index."""
        store, chance = BlockStore(tmp_path), random.Random(name)
        contents = {f"{number}": chance.randbytes(300) for number in range(5)}
        for _ in range(40):
            for key, content in contents.items():
                put(store, key, content)
            SPOILS[name](store, chance)
            assert all(store.get(key) in {None, content} for key, content in contents.items())
        store.verify()
        assert all(put(store, key, content) or store.has(key) for key, content in contents.items())
        assert all(store.get(key) == content for key, content in contents.items())

    def test_a_damaged_file_is_forgotten(self, tmp_path: Path) -> None:
        """Its place can be taken again."""
        store, chance = BlockStore(tmp_path), random.Random(5)
        for _ in range(50):
            assert put(store, "a", b"content" * 20)
            (path,) = files(store)
            path.write_bytes(spoiled(path.read_bytes(), chance))
            assert store.get("a") is None
            assert not files(store)

    def test_a_file_in_the_place_of_another_is_a_miss(self, tmp_path: Path) -> None:
        """A whole file of another key is not given out, and neither is one that the index sends elsewhere."""
        store = BlockStore(tmp_path)
        put(store, "a", b"1" * 9)
        put(store, "b", b"2" * 9)
        one, other = files(store)
        one.write_bytes(other.read_bytes())
        found = [store.get("a"), store.get("b")]
        assert sorted(map(bool, found)) == [False, True]
        put(store, "a", b"1" * 9)
        put(store, "b", b"2" * 9)
        with sqlite3.connect(tmp_path / "index.sqlite") as base:
            (name,) = base.execute("SELECT name FROM alias WHERE key = 'b'").fetchone()
            base.execute("UPDATE alias SET name = ? WHERE key = 'a'", (name,))
        base.close()
        assert store.get("a") is None

    def test_an_index_that_leads_elsewhere_leads_nowhere(self, tmp_path: Path) -> None:
        """A name that is no name of a block is looked for nowhere else, and nothing there is removed."""
        outside = tmp_path / "outside.kv"
        outside.write_bytes(b"precious")
        store = BlockStore(tmp_path / "store")
        put(store, "a", b"content")
        with sqlite3.connect(tmp_path / "store" / "index.sqlite") as base:
            base.execute("UPDATE block SET name = '../../outside', size = 8")
            base.execute("UPDATE alias SET name = '../../outside'")
        base.close()
        assert store.get("a") is None
        assert outside.read_bytes() == b"precious"

    @pytest.mark.parametrize("spoiled", [b"", b"no database", b"SQLite format 3\0" + bytes(200)])
    def test_a_broken_index_is_made_anew(self, tmp_path: Path, spoiled: bytes) -> None:
        """Nothing is found, nothing raised, and the store works on."""
        store = BlockStore(tmp_path)
        put(store, "a", b"content")
        for suffix in ("-wal", "-shm"):
            (tmp_path / f"index.sqlite{suffix}").unlink(missing_ok=True)
        (tmp_path / "index.sqlite").write_bytes(spoiled)
        assert store.get("a") is None
        assert put(store, "a", b"content")
        assert store.get("a") == b"content"

    def test_a_budget_is_kept_by_what_was_used_least(self, tmp_path: Path) -> None:
        """The longest unused go first; of those that were used together the ends of prompts."""
        now = [0.0]
        store = BlockStore(tmp_path, 3500, clock=lambda: now[0])
        for number in range(3):
            put(store, f"{number}", bytes(900), tokens=number)
        now[0] = 2 * TOGETHER_S
        store.get("0")
        put(store, "new", bytes(900))
        assert [store.has(key) for key in ("0", "1", "2", "new")] == [True, True, False, True]
        assert store.stats().size_bytes <= 3500
        assert store.stats().counters["evicted_blocks"] == 1
        assert not put(store, "too large", bytes(4000))

    def test_it_is_checked_and_emptied(self, tmp_path: Path) -> None:
        """A check removes what is wrong and what no index knows; emptying keeps the counters."""
        store = BlockStore(tmp_path)
        put(store, "a", b"1")
        put(store, "b", b"2")
        one, _ = files(store)
        one.write_bytes(b"")
        (one.parent / ("0" * 64 + ".1.new")).write_bytes(b"half")
        assert store.verify() == (1, 1)
        assert len(files(store)) == 1
        assert store.clear() > 0
        assert (store.stats().blocks, files(store)) == (0, [])
        assert store.stats().counters["written_blocks"] == 2

    def test_a_folder_that_cannot_be_used_is_a_miss(self, tmp_path: Path) -> None:
        """Where a file stands in the place of the folder, nothing is kept, found or raised."""
        (tmp_path / "file").write_bytes(b"")
        store = BlockStore(tmp_path / "file")
        assert not put(store, "a", b"1")
        assert (store.get("a"), store.has("a"), store.stats().blocks, store.verify()) == (
            None,
            False,
            0,
            (0, 0),
        )
        assert store.clear() == 0

    def test_it_survives_being_killed(self, tmp_path: Path) -> None:
        """A writer that is killed at any moment leaves what it kept whole, and nothing that is not."""
        code = textwrap.dedent("""
            import sys
            from pathlib import Path
            from hwledger.runner.cache.store import BlockStore
            store = BlockStore(Path(sys.argv[1]))
            for number in range(10_000):
                content = f"{number} ".encode() * 5000
                kept = store.put(f"{sys.argv[2]}-{number}", content, engine="mlx", tokens=1)
                print(number if kept else "refused", flush=True)
        """)
        for name in range(5):
            words = [sys.executable, "-c", code, str(tmp_path), str(name)]
            writer = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
            assert writer.stdout
            said = [writer.stdout.readline().strip() for _ in range(10 + name)]
            os.kill(writer.pid, signal.SIGKILL)
            said += writer.stdout.read().split()
            writer.wait()
            writer.stdout.close()
            store = BlockStore(tmp_path)
            for number in said:
                assert store.get(f"{name}-{number}") == f"{number} ".encode() * 5000
        assert store.verify()[1] == 0


@given(st.binary(max_size=300), st.lists(st.text(max_size=8), max_size=4))
def test_a_block_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, keys: list[str]
) -> None:
    """Any content under any keys; no other key is answered."""
    path = tmp_path_factory.getbasetemp() / "block.kv"
    size = write_block(path, keys, content)
    assert size == path.stat().st_size
    assert all(read_block(path, size, key) == content for key in [*keys, None])
    assert read_block(path, size, "another key of some length") is None
    assert read_block(path, size + 1) is None


def test_arrays_that_do_not_add_up_are_none() -> None:
    """Whatever happens to a packed block, unpacking raises nothing, and what comes out was in it."""
    packed = pack({"begin": 0}, [("k0", "float16", (1, 2, 3), bytes(12)), ("v0", "float32", (2,), bytes(8))])
    widths = {"float16": 2, "float32": 4}
    found = unpack(packed, widths)
    assert found
    assert [kept[:3] for kept in found[1]] == [("k0", "float16", (1, 2, 3)), ("v0", "float32", (2,))]
    chance = random.Random(3)
    for _ in range(500):
        damaged = spoiled(packed, chance)
        again = unpack(damaged, widths)
        if again is not None:
            assert sum(len(kept[3]) for kept in again[1]) < len(damaged)


def test_a_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    """The same files have the same fingerprint wherever they lie; a changed byte or name has another."""
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a.safetensors").write_bytes(b"weights")
        (tmp_path / place / "README.md").write_text(place)
    memory = tmp_path / "memory.sqlite"
    first = fingerprint(tmp_path / "one", memory)
    assert fingerprint(tmp_path / "two", memory) == first == fingerprint(tmp_path / "one", memory)
    (tmp_path / "two" / "a.safetensors").write_bytes(b"Weights")
    assert fingerprint(tmp_path / "two", memory) != first
    memory.write_bytes(b"broken")
    assert fingerprint(tmp_path / "one", memory) == first
