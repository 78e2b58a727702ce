"""Renewal: both certificates count until the next is used; an old key is an alarm; coming back has bounds."""

import base64
import dataclasses
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from hwledger.errors import ConflictError, MalformedError
from hwledger.fleet.enrolment import Nonces, approve, ban, renew, renew_with_proof, revoke
from hwledger.fleet.identities import check_member
from hwledger.fleet.identity_tables import JOINS, RefusedError, identity_of
from hwledger.fleet.signing import key_hash, make_request, new_key
from hwledger.fleet.wire.enrolment import EnrolAnswer, ProofRequest, proof_text
from support.fleets import HOUR, SECOND, Host, Site, site

pytestmark = pytest.mark.requirement("FR-FLEET-RENEW")
PAGE = "/a/v1/hello"


@pytest.fixture
def here(tmp_path: Path) -> Site:
    """Return a fleet in memory."""
    return site(tmp_path)


def _renewed(here: Site, host: Host) -> Host:
    key = new_key()
    answer = renew(here.fleet, here.authorities, host.member, make_request(key))
    return Host(host.id, key, answer.certificate)


def _state(here: Site, host: Host) -> str:
    found = here.fleet.store.query(lambda connection: identity_of(connection, host.id))
    assert found is not None
    return found.state


def _proof(nonces: Nonces, host: Host, key: ec.EllipticCurvePrivateKey) -> ProofRequest:
    nonce = nonces.give(host.id)
    text = proof_text(host.id, nonce, key_hash(key.public_key()))
    signature = base64.urlsafe_b64encode(host.key.sign(text, ec.ECDSA(hashes.SHA256()))).decode()
    return ProofRequest(host.id, nonce, signature, make_request(key))


def _back(here: Site, nonces: Nonces, host: Host) -> Host:
    key = new_key()
    answer = renew_with_proof(here.fleet, here.authorities, nonces, _proof(nonces, host, key))
    return Host(host.id, key, answer.certificate)


def test_both_count_until_the_next_is_used(here: Site) -> None:
    """Issuing ends nothing; the first use of the next does, and is on record once."""
    host = here.host()
    following = _renewed(here, host)
    for one in (host, host):
        assert check_member(here.fleet, one.der, PAGE).serial == host.member.serial
    assert "host.cert_renewed" not in here.kinds()
    for _ in range(2):
        assert check_member(here.fleet, following.der, PAGE) == following.member
    assert here.kinds()[-2:] == ["host.cert_issued", "host.cert_renewed"]


def test_an_old_certificate_bans_its_host(here: Site) -> None:
    """Used after its successor it raises the alarm; from then on the successor is refused as well."""
    host = here.host()
    following = _renewed(here, host)
    check_member(here.fleet, following.der, PAGE)
    with pytest.raises(RefusedError, match="banned"):
        check_member(here.fleet, host.der, PAGE)
    assert here.kinds()[-2:] == ["host.cert_reused", "host.banned"]
    for one in (host, following):
        with pytest.raises(RefusedError) as caught:
            check_member(here.fleet, one.der, PAGE)
        assert caught.value.reason == "banned"
    assert here.kinds().count("host.cert_reused") == 1


def test_every_earlier_certificate_raises_the_alarm(here: Site) -> None:
    """The first of many does as the last one does."""
    first = now = here.host()
    for _ in range(5):
        here.clock.now += 2 * 60 * SECOND
        now = _renewed(here, now)
        check_member(here.fleet, now.der, PAGE)
    with pytest.raises(RefusedError, match="banned"):
        check_member(here.fleet, first.der, PAGE)
    assert _state(here, first) == "banned"


def test_the_same_request_gets_the_same_certificate(here: Site) -> None:
    """An answer that was lost is given again; no second event."""
    host, key = here.host(), new_key()
    first, again = (renew(here.fleet, here.authorities, host.member, make_request(key)) for _ in range(2))
    assert first == again
    assert here.kinds().count("host.cert_issued") == 1


def test_a_renewal_has_its_time(here: Site) -> None:
    """Another key within a minute is refused, so that nobody fills the ledger; a used key always."""
    host = here.host()
    _renewed(here, host)
    with pytest.raises(ConflictError, match="moment ago"):
        _renewed(here, host)
    here.clock.now += 61 * SECOND
    _renewed(here, host)
    other = here.host()
    for used in (host.key, other.key):
        with pytest.raises(ConflictError, match="new key"):
            renew(here.fleet, here.authorities, here.host().member, make_request(used))


def test_a_certificate_that_was_replaced_cannot_renew(here: Site) -> None:
    """The decision itself refuses it, whoever let the request through."""
    host = here.host()
    check_member(here.fleet, _renewed(here, host).der, PAGE)
    with pytest.raises(RefusedError, match="not accepted"):
        _renewed(here, host)


def test_a_revoked_certificate_cannot_renew(here: Site) -> None:
    """Nor one that was revoked."""
    host = here.host()
    revoke(here.fleet, host.member.serial, reason="lost", actor="user:anna")
    with pytest.raises(RefusedError, match="not accepted"):
        _renewed(here, host)


def test_a_host_that_slept_comes_back(here: Site) -> None:
    """After its certificate ran out proof of its key gets it the next, which is in use at once."""
    host, nonces = here.host(), Nonces(here.fleet)
    here.clock.pass_hours(30)
    with pytest.raises(RefusedError, match="ran out"):
        check_member(here.fleet, host.der, PAGE)
    following = _back(here, nonces, host)
    assert check_member(here.fleet, following.der, PAGE) == following.member
    assert here.told("host.cert_renewed")[-1]["joins_left"] == JOINS - 1


def test_a_host_comes_back_so_often(here: Site) -> None:
    """Then somebody has to approve it."""
    host, nonces = here.host(), Nonces(here.fleet)
    for _ in range(JOINS):
        here.clock.pass_hours(25)
        host = _back(here, nonces, host)
    here.clock.pass_hours(25)
    with pytest.raises(RefusedError, match="too often"):
        _back(here, nonces, host)
    approve(here.fleet, host.id, actor="user:anna")
    assert _back(here, nonces, host).certificate


def test_an_answer_that_was_lost_costs_nothing(here: Site) -> None:
    """The same key proves again and gets the same certificate; it came back once."""
    host, nonces, key = here.host(), Nonces(here.fleet), new_key()
    here.clock.pass_hours(25)
    first, again = (
        renew_with_proof(here.fleet, here.authorities, nonces, _proof(nonces, host, key)) for _ in range(2)
    )
    assert isinstance(first, EnrolAnswer)
    assert first == again
    assert here.kinds().count("host.cert_renewed") == 1


def test_an_answer_that_was_lost_and_a_day_of_sleep(here: Site) -> None:
    """The certificate that never arrived ran out as well: the same call gets another; it is no alarm."""
    host, nonces, key = here.host(), Nonces(here.fleet), new_key()
    here.clock.pass_hours(25)
    renew_with_proof(here.fleet, here.authorities, nonces, _proof(nonces, host, key))
    here.clock.pass_hours(25)
    answer = renew_with_proof(here.fleet, here.authorities, nonces, _proof(nonces, host, key))
    following = Host(host.id, key, answer.certificate)
    assert check_member(here.fleet, following.der, PAGE) == following.member
    assert here.told("host.cert_renewed")[-1]["joins_left"] == JOINS - 2


def test_an_ended_host_does_not_come_back(here: Site) -> None:
    """It is told so where it proves its key; who does not learns nothing of the host."""
    host, nonces = here.host(), Nonces(here.fleet)
    here.clock.pass_hours(25)
    ban(here.fleet, host.id, reason="stolen", actor="user:anna")
    with pytest.raises(RefusedError, match="banned"):
        _back(here, nonces, host)
    for stranger in (
        Host(host.id, new_key(), ""),
        Host("00000000-0000-7000-8000-000000000000", new_key(), ""),
    ):
        with pytest.raises(RefusedError, match="not signed with the key of a host"):
            _back(here, nonces, stranger)


def test_no_proof_while_a_certificate_is_valid(here: Site) -> None:
    """Whoever stole a key cannot go round the certificates on record."""
    host, nonces = here.host(), Nonces(here.fleet)
    with pytest.raises(ConflictError, match="valid still"):
        _back(here, nonces, host)


def test_an_old_key_that_proves_bans_its_host(here: Site) -> None:
    """A thief came back first: when the owner does, with the key that it knows, the alarm is raised."""
    host, nonces = here.host(), Nonces(here.fleet)
    here.clock.pass_hours(25)
    _back(here, nonces, host)
    with pytest.raises(RefusedError, match="banned"):
        _back(here, nonces, host)
    assert _state(here, host) == "banned"
    assert here.kinds()[-2:] == ["host.cert_reused", "host.banned"]


@pytest.mark.parametrize("wrong", ["nonce", "signature", "host", "csr", "late", "twice"])
def test_a_false_proof(here: Site, wrong: str) -> None:
    """Another nonce, signature, host or key, and a nonce whose minute is over: refused, nothing on record."""
    host, other, nonces = here.host(), here.host(), Nonces(here.fleet)
    here.clock.pass_hours(25)
    good = _proof(nonces, host, new_key())
    changes = {
        "nonce": {"nonce": Nonces(here.fleet).give(host.id)},
        "signature": {"signature": base64.urlsafe_b64encode(bytes(70)).decode()},
        "host": {"host": other.id},
        "csr": {"csr": make_request(new_key())},
        "late": {},
        "twice": {"nonce": nonces.give(host.id)},
    }
    here.clock.now += 61 * SECOND if wrong == "late" else 0
    with pytest.raises(RefusedError):
        renew_with_proof(
            here.fleet, here.authorities, nonces, dataclasses.replace(good, **changes[wrong])
        )  # fmt: skip
    assert "host.cert_renewed" not in here.kinds()
    assert _state(here, host) == "active"


def test_a_clock_that_was_ahead_locks_nobody_out(here: Site) -> None:
    """A certificate that was made two days ahead of time is not valid yet when the clock is put right."""
    host, nonces = here.host(), Nonces(here.fleet)
    here.clock.now += 48 * HOUR
    ahead = _back(here, nonces, host)
    here.clock.now -= 48 * HOUR
    with pytest.raises(RefusedError, match="not valid yet"):
        check_member(here.fleet, ahead.der, PAGE)
    following = _back(here, nonces, ahead)
    assert check_member(here.fleet, following.der, PAGE) == following.member


@pytest.mark.parametrize(
    "csr", ["", "x", "-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----\n"]
)
def test_what_is_no_request(here: Site, csr: str) -> None:
    """It is refused in words."""
    with pytest.raises(MalformedError, match="certificate request"):
        renew(here.fleet, here.authorities, here.host().member, csr)
