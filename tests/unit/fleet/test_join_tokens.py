"""Join tokens: one text each, no secret anywhere but in it, and so many uses in so much time."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.errors import ConflictError, MalformedError, MissingError, UsageError
from hwledger.fleet.context import Fleet
from hwledger.fleet.enrolment import create_token, enrol, expire_tokens
from hwledger.fleet.identity_tables import RefusedError
from hwledger.fleet.signing import new_key
from hwledger.fleet.tokens import MOST_REFUSALS, token_of
from hwledger.fleet.views import projections
from hwledger.fleet.wire.enrolment import EnrolAnswer
from hwledger.fleet.wire.tokens import JoinToken, encoded, secret_hash
from hwledger.ledger.memory import MemoryStore
from hwledger.ledger.sqlite import SqliteStore
from support.fleets import ADDRESS, SECOND, Site, site

pytestmark = pytest.mark.requirement("FR-FLEET-TOKEN")
HOSTS = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True) | st.ip_addresses(v=6).map(str)
TOKENS = st.builds(
    JoinToken, st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32), HOSTS,
    st.integers(1, 65535),
)  # fmt: skip
ONE = JoinToken(b"\x01" * 32, b"\x02" * 32, "box", 8471).text()


@pytest.fixture
def fleet(tmp_path: Path) -> Site:
    """Return a fleet in memory."""
    return site(tmp_path)


@given(TOKENS)
def test_a_token_is_read_back(token: JoinToken) -> None:
    """Its text holds all of it, on one line that a shell takes as it is."""
    text = token.text()
    assert JoinToken.read(text) == token
    assert JoinToken.read(f" {text}\n") == token
    assert text.isascii()
    assert not set(text) & set(" '\"$`\\;&|<>*?")


@given(TOKENS, st.data())
def test_a_changed_token_is_another_or_none(token: JoinToken, data: st.DataObject) -> None:
    """No change of a character gives the same token in other words; cut off, it is none."""
    text = token.text()
    at = data.draw(st.integers(0, text.index("@")))
    other = data.draw(st.characters(codec="utf-8").filter(lambda one: one != text[at]))
    changed = f"{text[:at]}{other}{text[at + 1 :]}"
    found, said = _read(changed)
    assert found != token
    assert encoded(token.secret) not in said
    with pytest.raises(MalformedError):
        JoinToken.read(text[:at])


def _read(text: str) -> tuple[JoinToken | None, str]:
    try:
        return JoinToken.read(text), ""
    except MalformedError as error:
        return None, str(error)


@given(st.text(max_size=300))
def test_any_text_is_a_token_or_refused(text: str) -> None:
    """Reading raises one kind of error."""
    try:
        JoinToken.read(text)
    except MalformedError:
        return


@pytest.mark.parametrize(
    "text",
    [
        "", "hwl1", ONE.replace("hwl1", "hwl2"), ONE.replace("@", ""), ONE.replace("8471", "0"),
        ONE.replace("8471", "65536"), ONE.replace("8471", "08471"), ONE.replace("box", ""),
        ONE.replace(".", "", 1),
        ONE.replace("@", "=@"), ONE.replace("@", "@@"), f"{ONE}/x", ONE.replace("box", "[::g]"),
        ONE.replace("box", "::1"), ONE.replace("box", "-x"), ONE.replace("AQE", "AQ+"),
        ONE.replace("8471", "٨"),
        ONE + "x" * 400,
    ],
)  # fmt: skip
def test_near_tokens_are_refused(text: str) -> None:
    """Another version, padding, the other alphabet of base64, ports and hosts that are none."""
    with pytest.raises(MalformedError):
        JoinToken.read(text)


def test_only_a_hash_is_kept(tmp_path: Path) -> None:
    """The secret is in no file of the fleet and in no representation of the objects."""
    store = SqliteStore(tmp_path / "ledger.db", projections=projections())
    here = site(tmp_path, store)
    made = create_token(here.fleet, address=ADDRESS, actor="user:anna", labels={"rack": "a"})
    token = JoinToken.read(made.text)
    store.close()
    assert made.hash == secret_hash(token.secret)
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert made.hash.encode() in everything
    for secret in (token.secret, encoded(token.secret).encode(), token.secret.hex().encode()):
        assert secret not in everything
    assert encoded(token.secret) not in repr(made) + repr(token)
    assert repr(token.secret)[2:-1] not in repr(made) + repr(token)


def test_what_is_made_is_on_record(fleet: Site) -> None:
    """The event says for how many, until when, with which labels, and who asked; the token who to trust."""
    made = create_token(
        fleet.fleet, uses=2, ttl_seconds=60, labels={"rack": "a"}, approve=True, address=ADDRESS,
        actor="user:anna",
    )  # fmt: skip
    assert JoinToken.read(made.text).authority_sha256 == fleet.authorities.server_authority.sha256
    assert made.expires == fleet.clock() + 60 * SECOND
    (told,) = fleet.told("token.")
    assert told["token"] == made.hash
    assert (told["uses"], told["labels"], told["approve"]) == (2, {"rack": "a"}, True)
    assert told["actor"] == "user:anna"
    found = fleet.fleet.store.query(lambda connection: token_of(connection, made.hash))
    assert found is not None
    assert (found.uses_left, found.labels, found.created_by) == (2, {"rack": "a"}, "user:anna")


@pytest.mark.parametrize(
    "wrong",
    [
        {"uses": 0}, {"uses": 10_001}, {"ttl_seconds": 0}, {"ttl_seconds": 86_401},
        {"labels": {"a" * 64: "b"}},
        {"labels": {"a": "b\n"}}, {"labels": {str(number): "" for number in range(33)}},
    ],
)  # fmt: skip
def test_numbers_and_labels_have_bounds(fleet: Site, wrong: dict[str, object]) -> None:
    """Nothing is made of what is out of bounds."""
    with pytest.raises(UsageError):
        fleet.token(**wrong)
    assert fleet.kinds() == []


def test_a_fleet_without_authorities_makes_no_token(tmp_path: Path) -> None:
    """A token needs the hash of an authority; the sentence says what to start."""
    with pytest.raises(MissingError, match="hwledger up"):
        create_token(Fleet(MemoryStore(projections=projections()), tmp_path), address=ADDRESS, actor="user:a")


def test_refusals_are_on_record_up_to_ten(fleet: Site) -> None:
    """A token that is shown after its last use is refused each time; the ledger is not filled with it."""
    token = fleet.token()
    enrol(fleet.fleet, fleet.authorities, fleet.request(token, new_key()))
    asked = fleet.request(token, new_key())
    for _ in range(MOST_REFUSALS + 5):
        with pytest.raises(RefusedError, match="used up"):
            enrol(fleet.fleet, fleet.authorities, asked)
    assert fleet.kinds().count("token.reuse_refused") == MOST_REFUSALS


def test_a_token_of_three_uses(fleet: Site) -> None:
    """Three machines are let in, the fourth is not."""
    token = fleet.token(uses=3)
    found = {enrol(fleet.fleet, fleet.authorities, fleet.request(token, new_key())).host for _ in range(3)}
    assert len(found) == 3
    with pytest.raises(RefusedError, match="used up"):
        enrol(fleet.fleet, fleet.authorities, fleet.request(token, new_key()))


def test_a_token_ends(fleet: Site) -> None:
    """At its end it is refused, and that it ran out is on record once, whoever asks."""
    token = fleet.token(ttl_seconds=900)
    fleet.clock.now += 900 * SECOND
    for _ in range(2):
        with pytest.raises(RefusedError, match="ran out"):
            enrol(fleet.fleet, fleet.authorities, fleet.request(token, new_key()))
    expire_tokens(fleet.fleet)
    assert fleet.kinds() == ["token.created", "token.expired"]


def test_tokens_that_nobody_used_end_on_record(fleet: Site) -> None:
    """What ran out since is written down when somebody asks for it, or makes the next token."""
    fleet.token(ttl_seconds=10)
    fleet.token(ttl_seconds=20)
    fleet.clock.now += 10 * SECOND
    expire_tokens(fleet.fleet)
    fleet.clock.now += 10 * SECOND
    fleet.token()
    expire_tokens(fleet.fleet)
    assert fleet.kinds().count("token.expired") == 2


def test_an_unknown_token_leaves_no_trace(fleet: Site) -> None:
    """Who guesses is refused and cannot fill the ledger."""
    token = dataclasses.replace(fleet.token(), secret=bytes(32))
    with pytest.raises(RefusedError, match="not known"):
        enrol(fleet.fleet, fleet.authorities, fleet.request(token, new_key()))
    assert fleet.kinds() == ["token.created"]


def test_the_same_request_again_gets_the_same_answer(fleet: Site) -> None:
    """An answer that was lost is given again, after the token's end as well; no event is added."""
    token, key = fleet.token(), new_key()
    first = enrol(fleet.fleet, fleet.authorities, fleet.request(token, key))
    before = fleet.kinds()
    fleet.clock.pass_hours(1)
    again = enrol(fleet.fleet, fleet.authorities, fleet.request(token, key))
    assert again == first
    assert isinstance(again, EnrolAnswer)
    assert fleet.kinds() == before


def test_a_key_belongs_to_one_host(fleet: Site) -> None:
    """With another token the same key is refused; the token keeps its use."""
    key = new_key()
    enrol(fleet.fleet, fleet.authorities, fleet.request(fleet.token(), key))
    second = fleet.token()
    with pytest.raises(ConflictError, match="make a new key"):
        enrol(fleet.fleet, fleet.authorities, fleet.request(second, key))
    assert enrol(fleet.fleet, fleet.authorities, fleet.request(second, new_key())).state == "active"
