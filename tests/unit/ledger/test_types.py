"""Types as data: checks, versions, upcasts."""

from dataclasses import replace

import pytest

from hwledger.errors import MalformedError
from hwledger.ledger.event import body_of, event_of
from hwledger.ledger.types import read_types, shipped_types, split_type
from support.events import event

pytestmark = pytest.mark.requirement("FR-LEDGER-TYPES")
SAMPLES = {"text": "x", "int": 1, "hash": "0" * 64, "list": [], "map": {}, "bool": True}
WRONG = {"text": 1, "int": True, "hash": "ab", "list": {}, "map": [], "bool": 1}


@pytest.mark.parametrize("known", shipped_types().known.values(), ids=lambda known: known.full_name)
def test_each_shipped_type_takes_its_own_data_and_no_other(known) -> None:  # noqa: ANN001 - named by the parameter
    """Complete data passes and round-trips; each absent or wrong particular is refused by name."""
    data = {key: SAMPLES[kind.rstrip("?")] for key, kind in known.data.items()}
    good = replace(event(1, kind=known.full_name), data=data)
    shipped_types().check(event_of(body_of(good)))
    for key, kind in known.data.items():
        absent = replace(good, data={name: value for name, value in data.items() if name != key})
        if kind.endswith("?"):
            shipped_types().check(absent)
        else:
            with pytest.raises(MalformedError, match=repr(key)):
                shipped_types().check(absent)
        with pytest.raises(MalformedError, match=repr(key)):
            shipped_types().check(replace(good, data={**data, key: WRONG[kind.rstrip("?")]}))


def test_money_is_whole_micros() -> None:
    """No amount of money in the table is anything but an integer."""
    for known in shipped_types().known.values():
        for key, kind in known.data.items():
            assert "micros" not in key or kind == "int", (known.full_name, key)


def test_types_and_versions_that_nobody_knows_pass() -> None:
    """They are stored and shown, never dropped: a newer agent may know them."""
    shipped_types().check(event(1, kind="org.example.thing.v3"))
    shipped_types().check(replace(event(1, kind="fleet.host.enrolled.v99"), data={}))


TYPES = ["type,version,data,about", "a.b,1,old:text,x", "a.b,2,new:text n:int,x", "a.b,3,new:text,x"]
CHANGES = ["type,from,change,name,value", "a.b,1,rename,old,new", "a.b,1,add,n,7", "a.b,2,drop,n,"]


def test_older_data_is_read_as_the_newest_version() -> None:
    """Each step from one version to the next is applied, in order, and the event stays as it was."""
    table = read_types(TYPES[:3], CHANGES[:3])
    old = replace(event(1, kind="fleet.a.b.v1"), data={"old": "x"})
    assert table.upcast(old) == ("a.b", 2, {"new": "x", "n": 7})
    assert old.data == {"old": "x"}
    assert read_types(TYPES, CHANGES).upcast(old) == ("a.b", 3, {"new": "x"})
    second = replace(old, type="fleet.a.b.v2", data={"new": "y", "n": 1})
    assert table.upcast(second) == ("a.b", 2, {"new": "y", "n": 1})


def test_what_is_newer_or_unknown_comes_back_as_it_is() -> None:
    """No change is made to what is not understood."""
    table = read_types(TYPES, CHANGES)
    for kind, name in (("fleet.a.b.v9", ("a.b", 9)), ("x.y.v1", ("x.y", 1))):
        assert table.upcast(replace(event(1, kind=kind), data={"z": 1})) == (*name, {"z": 1})
    assert split_type("fleet.host.enrolled.v12") == ("host.enrolled", 12)


@pytest.mark.parametrize(
    "rows", [(["type,version,data,about", "a.b,1,x:colour,x"], []), (TYPES, [*CHANGES[:1], "a.b,1,paint,x,"])]
)
def test_a_faulty_table_is_refused(rows: tuple[list[str], list[str]]) -> None:
    """An unknown kind or change is a fault of the file and found when it is read."""
    with pytest.raises(ValueError, match="unknown"):
        read_types(*rows)
