"""What every store of a ledger does, in memory, in a file and on a server alike."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, delete

from hwledger.errors import AlteredError, ConflictError, MalformedError, MissingError
from hwledger.ledger.chain import Head, entries
from hwledger.ledger.event import Event, body_of, event_of
from hwledger.ledger.memory import MemoryStore
from hwledger.ledger.merkle import consistency_proof, continues, includes, inclusion_proof, root_at, root_of
from hwledger.ledger.postgresql import PostgresStore
from hwledger.ledger.projections import PRODUCER, last_of_producer
from hwledger.ledger.sqlite import SqliteStore
from hwledger.ledger.store import Store
from support.events import event, events

pytestmark = pytest.mark.requirement("FR-LEDGER-STORE")
ORIGIN = "hwledger.local/memory"
MAKERS: dict[str, Callable[[pytest.FixtureRequest], Store]] = {
    "memory": lambda _: MemoryStore(),
    "sqlite": lambda test: SqliteStore(test.getfixturevalue("tmp_path") / "ledger.db", origin=ORIGIN),
    "postgresql": lambda test: PostgresStore(test.getfixturevalue("postgres").new_schema(), origin=ORIGIN),
}


@pytest.fixture(params=MAKERS)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Return an empty store of each kind."""
    made = MAKERS[request.param](request)
    yield made
    made.close()


class TestStore:
    """The contract: a new adapter adds a line to ``MAKERS``."""

    def test_what_is_appended_is_read_back_chained(self, store: Store) -> None:
        """Entries hold the bodies byte for byte, under the hashes that the chain gives them."""
        made = events(5)
        receipts = store.append(made[:2]) + store.append(made[2:])
        expected = entries(Head(), [body_of(one) for one in made])
        assert store.read() == expected
        assert [(one.seq, one.leaf, one.chain) for one in receipts] == [
            (entry.seq, entry.leaf, entry.chain) for entry in expected
        ]
        assert [one.id for one in receipts] == [one.id for one in made]
        assert not any(one.repeated for one in receipts)
        assert store.head() == Head(5, expected[-1].chain)
        assert store.get(3) == expected[2]
        assert store.origin == "hwledger.local/memory"

    @pytest.mark.enable_socket  # of the event loop itself
    def test_an_event_loop_goes_on_while_it_waits(self, store: Store) -> None:
        """A thousand wait in one loop; each has its own answer, one that is refused its own error."""

        async def all_at_once() -> list[Any]:
            asked = [store.append_async([event(number)]) for number in range(1000)]
            refused = store.append_async([event(2000)], expected_seq=5000)
            decided = store.decide_async(lambda _: [event(3000), event(3001)])
            return await asyncio.gather(*asked, refused, decided, return_exceptions=True)

        *answers, refused, decided = asyncio.run(all_at_once())
        assert sorted(one.seq for (one,) in answers) == list(range(1, 1001))
        assert [one.id for (one,) in answers] == [event(number).id for number in range(1000)]
        assert isinstance(refused, ConflictError)
        assert [one.seq for one in decided] == [1001, 1002]
        assert store.head().seq == 1002

    @pytest.mark.enable_socket  # of the event loop itself
    def test_who_is_cancelled_in_a_loop_takes_nobody_along(self, store: Store) -> None:
        """Its events are there once or not at all; the others are answered, also when a loop ends early."""

        async def some() -> list[Any]:
            asked = [asyncio.ensure_future(store.append_async([event(number)])) for number in range(20)]
            await asyncio.sleep(0)
            for one in asked[::2]:
                one.cancel()
            return await asyncio.gather(*asked, return_exceptions=True)

        answers = asyncio.run(some())
        assert len([one for one in answers if isinstance(one, tuple)]) >= 10

        async def given_up() -> None:
            asked = asyncio.ensure_future(store.append_async(events(200, 100)))
            await asyncio.sleep(0)
            asked.cancel()

        asyncio.run(given_up())
        again = store.append(events(20))
        assert len({one.seq for one in again}) == 20
        assert len({event_of(entry.body).id for entry in store.read()}) == store.head().seq

    def test_an_empty_ledger(self, store: Store) -> None:
        """It has a head of nothing, no page and no event."""
        assert store.head() == Head()
        assert store.read() == []
        with pytest.raises(MissingError):
            store.get(1)

    def test_pages(self, store: Store) -> None:
        """Pages follow on each other, whatever their size, and end with an empty one."""
        store.append(events(10))
        whole = store.read()
        assert store.read(3, 4) == whole[3:7]
        assert store.read(8, 4) == whole[8:]
        assert store.read(10) == []
        assert store.read(0, 0) == []

    def test_by_type_and_subject(self, store: Store) -> None:
        """Only what was asked for comes, in order, on from any place."""
        kinds = ["fleet.host.online.v1", "fleet.host.offline.v1", "org.example.new.v7"]
        store.append([event(number, f"host/{number % 2}", kinds[number % 3]) for number in range(12)])
        assert [entry.seq for entry in store.read(subject="host/1")] == [2, 4, 6, 8, 10, 12]
        assert [entry.seq for entry in store.read(types=kinds[2:])] == [3, 6, 9, 12]
        assert [entry.seq for entry in store.read(4, 2, types=kinds[:2], subject="host/0")] == [5, 7]
        assert store.read(subject="host/9") == []

    def test_long_names(self, store: Store) -> None:
        """Subjects and types as long as an event may have them are kept, and found among their likes."""
        long, kind = "\N{GRINNING FACE}" * 1023, f"org.{'x' * 5000}"
        made = [event(n, f"{long}{n}", f"{kind}{n}.v1") for n in range(3)] + [event(9, long)]
        store.append(made)
        assert [entry.seq for entry in store.read(subject=f"{long}1")] == [2]
        assert [entry.seq for entry in store.read(subject=long)] == [4]
        assert [entry.seq for entry in store.read(types=[f"{kind}0.v1", f"{kind}2.v1"])] == [1, 3]

    def test_the_same_event_again_is_one_event(self, store: Store) -> None:
        """However often it arrives, alone, in a group or twice in one: the first receipt comes back."""
        first, second = events(2)
        (receipt,) = store.append([first])
        again = store.append([first, second, second, first])
        assert [(one.seq, one.repeated) for one in again] == [(1, True), (2, False), (2, True), (1, True)]
        assert again[0] == replace(receipt, repeated=True)
        assert store.head().seq == 2

    def test_an_id_with_other_content_is_refused_with_all_that_came_along(self, store: Store) -> None:
        """All or none: what stands beside it is not added."""
        first = event(1)
        store.append([first])
        with pytest.raises(ConflictError, match="other content"):
            store.append([event(2), replace(first, subject="host/b")])
        with pytest.raises(ConflictError):
            store.append([event(3), replace(event(3), subject="host/b")])
        assert store.head().seq == 1

    def test_the_expected_end(self, store: Store) -> None:
        """Who read an end writes only there; a repetition of what took hold is answered all the same."""
        one, two, three = events(3)
        store.append([one], expected_seq=0)
        store.append([two], expected_seq=1)
        with pytest.raises(ConflictError, match="ends at 2 and not at 1"):
            store.append([three], expected_seq=1)
        assert store.append([two], expected_seq=1)[0].repeated
        assert store.head().seq == 2

    def test_what_is_no_event_is_refused(self, store: Store) -> None:
        """Nothing at all, and what JSON cannot say."""
        with pytest.raises(ConflictError, match="nothing to append"):
            store.append([])
        with pytest.raises(MalformedError):
            store.append([event(1), event(2, share=0.5)])
        assert store.head().seq == 0

    @pytest.mark.parametrize("size", [1, 2, 7, 8, 33])
    def test_proofs(self, store: Store, size: int) -> None:
        """Each event, and each older size, can be proved from what is stored."""
        store.append(events(3))
        if size > 3:
            store.append(events(size - 3, 3))
        leaves = [entry.leaf for entry in store.read()][:size]
        root = root_at(size, store.node)
        assert root == root_of(leaves)
        for index, leaf in enumerate(leaves):
            assert includes(leaf, index, size, inclusion_proof(index, size, store.node), root)
            old_root = root_of(leaves[: index + 1])
            proof = consistency_proof(index + 1, size, store.node)
            assert continues(index + 1, size, old_root, root, proof)
        with pytest.raises(AlteredError):
            store.node(9, 9)

    def test_notes(self, store: Store) -> None:
        """Checkpoints are kept by size; the first of a size stays."""
        store.keep_note("b", 2)
        store.keep_note("a", 1)
        store.keep_note("c", 2)
        assert store.notes() == {1: "a", 2: "b"}

    def test_many_producers_at_once(self, store: Store) -> None:
        """Threads append and read at once: every event is there once, each reader sees a whole chain."""
        failed: list[BaseException] = []

        def produce(number: int) -> None:
            try:
                for step in range(20):
                    store.append([event(number * 1000 + step, f"host/{number}")])
                    assert len(store.read(max(0, store.head().seq - 10))) >= 1
            except BaseException as error:  # noqa: BLE001 - it is asserted below
                failed.append(error)

        threads = [threading.Thread(target=produce, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        whole = store.read()
        assert len({entry.leaf for entry in whole}) == len(whole) == store.head().seq == 160
        for number in range(8):
            own = [entry.body for entry in store.read(subject=f"host/{number}")]
            assert own == [body_of(event(number * 1000 + step, f"host/{number}")) for step in range(20)]

    def test_a_decision_sees_all_before_it_and_nothing_comes_between(self, store: Store) -> None:
        """Sixteen threads draw the next number of one count; each number is drawn once."""

        def next_number(connection: Connection) -> list[Event]:
            last = last_of_producer(connection, event(1).source, "b") or 0
            return [replace(event(last), boot="b", boot_seq=last + 1)]

        threads = [threading.Thread(target=store.decide, args=(next_number,)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        drawn = [event_of(entry.body).boot_seq for entry in store.read()]
        assert drawn == list(range(1, 17))
        assert store.query(lambda connection: last_of_producer(connection, event(1).source, "b")) == 16

    def test_a_decision_that_refuses_adds_nothing(self, store: Store) -> None:
        """What it raises comes back, what it wrote is undone, and others in the same commit count."""

        def refuse(connection: Connection) -> list[Event]:
            connection.execute(delete(PRODUCER))
            raise KeyError("no")

        store.append([replace(event(1), boot="b", boot_seq=7)])
        with pytest.raises(KeyError):
            store.decide(refuse)
        assert store.decide(lambda _: []) == ()
        assert store.head().seq == 1
        assert store.query(lambda connection: last_of_producer(connection, event(1).source, "b")) == 7

    def test_closing_twice(self, store: Store) -> None:
        """The second time does nothing."""
        store.append(events(1))
        store.close()
        store.close()
