"""Letting hosts in: what of a request counts, what an operator decides, and what is on record."""

import dataclasses
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from hwledger.errors import ConflictError, HwledgerError, MalformedError, MissingError
from hwledger.fleet.enrolment import approve, ban, enrol, retire, revoke
from hwledger.fleet.identities import check_member
from hwledger.fleet.identity_tables import JOINS, RefusedError, identity_of
from hwledger.fleet.signing import make_request, new_key
from hwledger.fleet.views import projections
from hwledger.fleet.wire.enrolment import EnrolAnswer, EnrolRequest, ProofRequest, csr_of
from hwledger.ledger.memory import MemoryStore
from support.fleets import MACHINE, Host, Site, site

pytestmark = pytest.mark.requirement("FR-FLEET-ENROL")
PAGE = "/a/v1/hello"
NOBODY = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
def here(tmp_path: Path) -> Site:
    """Return a fleet in memory."""
    return site(tmp_path)


def _enrol(here: Site, **more: Any) -> EnrolAnswer:
    token = here.token(**{name: more.pop(name) for name in ("approve", "labels") if name in more})
    return enrol(here.fleet, here.authorities, here.request(token, new_key(), **more))


def test_what_is_on_record_of_a_host(here: Site) -> None:
    """The token, the key, the certificate itself and what the machine said; labels come from the token."""
    answer = _enrol(here, labels={"rack": "a"}, name="box", inventory={"gpus": 8, "labels": {"rack": "b"}})
    used, told = here.told()[1:]
    assert (used["type"], told["type"]) == ("token.used.v1", "host.enrolled.v1")
    assert (told["host"], told["name"], told["labels"]) == (answer.host, "box", {"rack": "a"})
    assert (told["token"], told["machine"], told["actor"]) == (used["token"], MACHINE, "user:anna")
    found = x509.load_pem_x509_certificate(answer.certificate.encode())
    assert told["serial"] == f"{found.serial_number:032x}"
    assert answer.trust_domain == "example.org"
    assert answer.authorities == here.authorities.server_trust()


def _greedy(key: ec.EllipticCurvePrivateKey) -> str:
    """Return a request that asks for the names of others, an authority's rights and a server's purpose."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "spiffe://example.org/agent/admin")])
    names = [
        x509.UniformResourceIdentifier(f"spiffe://example.org/agent/{NOBODY}"),
        x509.UniformResourceIdentifier("spiffe://example.org/server/api"),
        x509.DNSName("localhost"),
    ]
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]
    rights = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    for extension in (
        x509.BasicConstraints(ca=True, path_length=9), x509.ExtendedKeyUsage(purposes), rights,
        x509.SubjectAlternativeName(names),
    ):  # fmt: skip
        builder = builder.add_extension(extension, critical=True)
    made = builder.add_attribute(x509.oid.AttributeOID.CHALLENGE_PASSWORD, b"x").sign(key, hashes.SHA256())
    return made.public_bytes(Encoding.PEM).decode()


def test_of_a_request_only_the_key_counts(here: Site) -> None:
    """What it asks for beside is ignored: the certificate says what one says for which nothing was asked."""
    key = new_key()
    asked = dataclasses.replace(here.request(here.token(), key), csr=_greedy(key))
    answer = enrol(here.fleet, here.authorities, asked)
    greedy = x509.load_pem_x509_certificate(answer.certificate.encode())
    modest = x509.load_pem_x509_certificate(_enrol(here).certificate.encode())
    assert [one.oid for one in greedy.extensions] == [one.oid for one in modest.extensions]
    names = greedy.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [name.value for name in names] == [f"spiffe://example.org/agent/{answer.host}"]
    assert not greedy.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not greedy.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    assert not greedy.subject.rdns
    assert check_member(here.fleet, Host(answer.host, key, answer.certificate).der, PAGE).host == answer.host


def _with_stolen_key() -> str:
    """Return a request for the key of another, signed by one's own."""
    own, others = new_key(), make_request(new_key())
    victim = x509.load_pem_x509_csr(others.encode()).public_bytes(Encoding.DER)
    mine = x509.load_pem_x509_csr(make_request(own).encode())
    forged = victim.replace(x509.load_pem_x509_csr(others.encode()).signature, mine.signature)
    import base64  # noqa: PLC0415 - only here

    body = base64.encodebytes(forged).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n"


def _signed(key: Any, digest: hashes.HashAlgorithm | None) -> str:
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, digest)
    return made.public_bytes(Encoding.PEM).decode()


WRONG_REQUESTS = {
    "an RSA key": lambda: _signed(rsa.generate_private_key(65537, 2048), hashes.SHA256()),
    "a curve of 384 bits": lambda: _signed(ec.generate_private_key(ec.SECP384R1()), hashes.SHA384()),
    "the curve of Bitcoin": lambda: _signed(ec.generate_private_key(ec.SECP256K1()), hashes.SHA256()),
    "an Ed25519 key": lambda: _signed(ed25519.Ed25519PrivateKey.generate(), None),
    "a short hash": lambda: _signed(new_key(), hashes.SHA224()),
    "the key of another": _with_stolen_key,
    "a certificate": lambda: "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n",
    "a private key": lambda: "-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n",
    "too long": lambda: make_request(new_key()) + "x" * 9000,
}


@pytest.mark.parametrize("kind", WRONG_REQUESTS)
def test_a_request_that_cannot_be_used(here: Site, kind: str) -> None:
    """Another kind of key, a weak hash, the key of somebody else: refused, and the token keeps its use."""
    token, key = here.token(), new_key()
    asked = here.request(token, key)
    with pytest.raises(MalformedError, match="certificate request"):
        enrol(here.fleet, here.authorities, dataclasses.replace(asked, csr=WRONG_REQUESTS[kind]()))
    assert here.kinds() == ["token.created"]
    assert enrol(here.fleet, here.authorities, asked).state == "active"


def test_a_host_waits_until_somebody_approves_it(here: Site) -> None:
    """Meanwhile it has no certificate and is no member; approved, the same request gets one."""
    key, token = new_key(), here.token(approve=True)
    asked = here.request(token, key)
    first = enrol(here.fleet, here.authorities, asked)
    assert enrol(here.fleet, here.authorities, asked) == first == EnrolAnswer("waiting", first.host)
    approve(here.fleet, first.host, actor="user:anna")
    with pytest.raises(ConflictError):
        approve(here.fleet, first.host, actor="user:anna")
    answer = enrol(here.fleet, here.authorities, asked)
    assert (answer.state, answer.host) == ("active", first.host)
    assert here.kinds()[1:] == ["token.used", "host.enrol_requested", "host.approved", "host.enrolled"]
    found = Host(answer.host, key, answer.certificate)
    assert check_member(here.fleet, found.der, PAGE) == found.member


def test_a_host_that_was_banned_while_it_waited(here: Site) -> None:
    """The same request gets nothing any more."""
    asked = here.request(here.token(approve=True), new_key())
    host = enrol(here.fleet, here.authorities, asked).host
    ban(here.fleet, host, reason="not ours", actor="user:anna")
    with pytest.raises(RefusedError, match="banned"):
        enrol(here.fleet, here.authorities, asked)
    with pytest.raises(ConflictError):
        approve(here.fleet, host, actor="user:anna")


def test_a_banned_machine_does_not_come_back(here: Site) -> None:
    """Not with a new token and a new key; a machine that was retired does, as a new host."""
    banned, retired = _enrol(here, machine="11" * 32).host, _enrol(here, machine="22" * 32).host
    ban(here.fleet, banned, reason="stolen", actor="user:anna")
    retire(here.fleet, retired, reason="sold", actor="user:anna")
    with pytest.raises(RefusedError, match="banned"):
        _enrol(here, machine="11" * 32)
    assert _enrol(here, machine="22" * 32).host not in {banned, retired}


@pytest.mark.parametrize("end", [ban, retire])
def test_an_ended_host_is_refused(here: Site, end: Any) -> None:
    """From the moment on at which the decision returns; twice is a conflict, an unknown host is said."""
    host = here.host()
    check_member(here.fleet, host.der, PAGE)
    end(here.fleet, host.id, reason="over", actor="user:anna")
    with pytest.raises(RefusedError):
        check_member(here.fleet, host.der, PAGE)
    assert here.told("host.")[-1]["actor"] == "user:anna"
    with pytest.raises(ConflictError):
        end(here.fleet, host.id, reason="over", actor="user:anna")
    with pytest.raises(MissingError, match="hwledger hosts"):
        end(here.fleet, NOBODY, reason="over", actor="user:anna")


def test_a_certificate_is_revoked(here: Site) -> None:
    """It is refused, its host is active still; twice, and of what nobody was given, is said."""
    host, other = here.host(), here.host()
    revoke(here.fleet, host.member.serial, reason="copied", actor="user:anna")
    with pytest.raises(RefusedError) as caught:
        check_member(here.fleet, host.der, PAGE)
    assert caught.value.reason == "revoked"
    assert check_member(here.fleet, other.der, PAGE) == other.member
    with pytest.raises(ConflictError):
        revoke(here.fleet, host.member.serial, reason="copied", actor="user:anna")
    with pytest.raises(MissingError):
        revoke(here.fleet, "00", reason="copied", actor="user:anna")


def test_approving_an_active_host_lets_it_come_back_again(here: Site) -> None:
    """Its count is full again."""
    host = here.host()
    approve(here.fleet, host.id, actor="user:anna")
    found = here.fleet.store.query(lambda connection: identity_of(connection, host.id))
    assert found is not None
    assert (found.state, found.joins_left) == ("active", JOINS)


def test_identities_follow_from_the_events_alone(here: Site) -> None:
    """A store that takes in the same events knows the same hosts."""
    host, other = here.host(), here.host()
    revoke(here.fleet, host.member.serial, reason="copied", actor="user:anna")
    ban(here.fleet, other.id, reason="stolen", actor="user:anna")
    from hwledger.ledger.event import event_of  # noqa: PLC0415 - only here

    copy = MemoryStore(projections=projections())
    copy.append([event_of(entry.body) for entry in here.fleet.store.read(limit=1000)])
    for one in (host.id, other.id):
        before, after = (
            store.query(lambda connection, one=one: identity_of(connection, one))
            for store in (here.fleet.store, copy)
        )
        assert before == after is not None


DOCUMENT = {
    "protocol": 1, "token": "A" * 43, "csr": "x", "name": "box", "machine": MACHINE, "inventory": {},
    "version": "1",
}  # fmt: skip
WRONG_FIELDS = [
    {"protocol": 2}, {"protocol": True}, {"protocol": "1"}, {"token": "A" * 42}, {"token": 1}, {"csr": ""},
    {"csr": None}, {"csr": "x" * 8193}, {"name": ""}, {"name": "a" * 254}, {"name": "a\x00b"},
    {"name": "a\nb"},
    {"name": "\ud800"}, {"name": "\u202egpj.exe"}, {"machine": "AB" * 32}, {"machine": "../../etc"},
    {"inventory": []}, {"inventory": None}, {"version": ["1"]}, {"version": "1\r\n"},
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG_FIELDS)
def test_a_message_that_is_wrong(wrong: dict[str, Any]) -> None:
    """Each field is held to its kind and length; texts that people read are of one line and printable."""
    assert EnrolRequest.read(DOCUMENT).name == "box"
    with pytest.raises(MalformedError):
        EnrolRequest.read({**DOCUMENT, **wrong})
    with pytest.raises(MalformedError):
        EnrolRequest.read({name: value for name, value in DOCUMENT.items() if name not in wrong})


@pytest.mark.parametrize("host", ["", "x", f"../{NOBODY}", f"{NOBODY}\n", NOBODY.replace("7", "A"), 1, None])
def test_an_id_that_is_none(host: Any) -> None:
    """Nothing that is not a UUID goes further as the id of a host."""
    with pytest.raises(MalformedError):
        ProofRequest.read({"host": host})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*DOCUMENT, "host", "nonce", "signature", "state"]), VALUES) | VALUES)
def test_any_message_is_read_or_refused(sent: Any) -> None:
    """Whatever JSON comes, in place of any field or of all of them, it is one kind of error."""
    changed = {**DOCUMENT, **sent} if isinstance(sent, dict) else sent
    for read in (EnrolRequest.read, ProofRequest.read, EnrolAnswer.read, csr_of):
        with suppress(MalformedError):
            read(changed)


BAD_INVENTORIES: dict[str, Any] = {
    "a fraction": {"a": 0.5},
    "no number": {"a": float("nan")},
    "a large number": {"a": 10**400},
    "half a character": {"a": "\ud800"},
    "half a character as a name": {"\ud800": 1},
    "deep": None,
}


def _deep() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(500):
        found = {"a": found}
    return found


@pytest.mark.parametrize("kind", BAD_INVENTORIES)
def test_an_inventory_that_is_no_data(here: Site, kind: str) -> None:
    """What cannot be an event is refused in words, and the token keeps its use."""
    token, key = here.token(), new_key()
    with pytest.raises(HwledgerError):
        enrol(
            here.fleet, here.authorities, here.request(token, key, inventory=BAD_INVENTORIES[kind] or _deep())
        )
    assert here.kinds() == ["token.created"]
    assert enrol(here.fleet, here.authorities, here.request(token, key)).state == "active"
