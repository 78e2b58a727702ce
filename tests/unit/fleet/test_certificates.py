"""The authorities: what certificates say, the files they lie in, and how one generation follows another."""

import os
import ssl
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import example, given
from hypothesis import strategies as st

from hwledger.errors import DeniedError, InputError, MalformedError, UsageError
from hwledger.fleet.certificates import AGENT_LIFE, OVERLAP, Authorities
from hwledger.fleet.presented import presented
from hwledger.fleet.signing import make_request, new_key, requested_key
from hwledger.server.tls import public_context, renew_server
from support.fleets import HOUR, SECOND, Clock, Site, site

pytestmark = pytest.mark.requirement("FR-FLEET-CA")


@pytest.fixture
def here(tmp_path: Path) -> Site:
    """Return a fleet in memory."""
    return site(tmp_path)


def test_a_certificate_of_an_agent(here: Site) -> None:
    """One SPIFFE URI, a client's purpose, a day of life, back-dated five minutes; nothing else."""
    issued = here.authorities.issue(
        "0" * 8 + "-0000-7000-8000-" + "0" * 12, new_key().public_key(), bytes(16)
    )
    found = x509.load_der_x509_certificate(issued.der)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical
    assert [name.value for name in names.value] == [
        "spiffe://example.org/agent/00000000-0000-7000-8000-000000000000"
    ]
    usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert found.not_valid_after_utc - found.not_valid_before_utc == timedelta(hours=24, minutes=5)
    assert issued.not_after == here.clock() + AGENT_LIFE
    assert not found.subject.rdns
    assert presented(issued.der).serial == issued.serial == f"{1:032x}"


def test_the_authorities_are_limited(here: Site) -> None:
    """None below them, and the agents' one names nothing but URIs of its own fleet."""
    for authority in (here.authorities.agents_authority, here.authorities.server_authority):
        limits = authority.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        assert (limits.critical, limits.value.ca, limits.value.path_length) == (True, True, 0)
    names = here.authorities.agents_authority.certificate.extensions.get_extension_for_class(
        x509.NameConstraints
    )
    assert names.critical
    assert [one.value for one in names.value.permitted_subtrees or ()] == ["example.org"]
    assert here.authorities.agents_authority.key.private_numbers() != (
        here.authorities.server_authority.key.private_numbers()
    )


def test_they_are_made_once(here: Site) -> None:
    """Opened again they are the same; the key is in no file that others may read, nor in a representation."""
    again = Authorities.open(here.fleet.folder, "example.org", here.clock)
    assert again.agents_authority.sha256 == here.authorities.agents_authority.sha256
    files = sorted((here.fleet.folder / "authorities").iterdir())
    assert [path.name for path in files] == ["agents-ca.1.pem", "server-ca.1.pem"]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert (here.fleet.folder / "authorities").stat().st_mode & 0o777 == 0o700
    assert "PRIVATE" not in repr(again.agents_authority)


@pytest.mark.skipif(os.name == "nt", reason="permissions of files are those of POSIX")
def test_a_key_that_others_may_read_is_refused(here: Site) -> None:
    """The sentence says which file and what to do."""
    path = here.fleet.folder / "authorities" / "agents-ca.1.pem"
    path.chmod(0o640)
    with pytest.raises(InputError, match="mode 0600"):
        Authorities.open(here.fleet.folder, "example.org", here.clock)


def test_a_damaged_file(here: Site) -> None:
    """Half a file, and a key that is not of its certificate, are refused by name."""
    path = here.fleet.folder / "authorities" / "agents-ca.1.pem"
    other = (here.fleet.folder / "authorities" / "server-ca.1.pem").read_bytes()
    whole = path.read_bytes()
    mixed = whole[: whole.index(b"-----BEGIN CERT")] + other[other.index(b"-----BEGIN CERT") :]
    for raw in (whole[:100], b"", mixed):
        path.write_bytes(raw)
        with pytest.raises(MalformedError, match="agents-ca"):
            Authorities.open(here.fleet.folder, "example.org", here.clock)


@pytest.mark.parametrize("domain", ["", "A", "a/b", "-a", "a" * 256, "ä", "a b", "a\n"])
def test_a_trust_domain_that_is_none(tmp_path: Path, domain: str) -> None:
    """Nothing is made for it."""
    with pytest.raises(UsageError):
        Authorities.open(tmp_path, domain, Clock())
    assert not list(tmp_path.iterdir())


def test_the_server_certificate_is_made_anew_when_due(here: Site) -> None:
    """For other names, after two thirds of its life, and where its file is damaged; else it stays."""
    path = here.authorities.server_chain(["127.0.0.1", "box"])
    first = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert here.authorities.server_chain(["127.0.0.1", "box"]).read_bytes() == first
    here.clock.pass_hours(24 * 18)
    assert here.authorities.server_chain(["127.0.0.1", "box"]).read_bytes() == first
    here.clock.pass_hours(24 * 3)
    second = here.authorities.server_chain(["127.0.0.1", "box"]).read_bytes()
    third = here.authorities.server_chain(["127.0.0.1"]).read_bytes()
    path.write_bytes(third[:50])
    fourth = here.authorities.server_chain(["127.0.0.1"]).read_bytes()
    assert len({first, second, third, fourth}) == 4


@pytest.mark.parametrize("names", [[], ["box:1"], ["a b"], [""], ["*.example.org"]])
def test_a_server_name_that_is_none(here: Site, names: list[str]) -> None:
    """It is refused before anything is made."""
    with pytest.raises(UsageError):
        here.authorities.server_chain(names)


def test_a_generation_follows_another(here: Site) -> None:
    """Agents' certificates are signed anew at once, the server's when all know it; both are trusted."""
    own, first = here.authorities, here.authorities.agents_authority
    server = own.server_authority
    own.roll()
    assert own.agents_authority.sha256 != first.sha256
    assert own.server_authority.sha256 == server.sha256
    assert own.agents_trust().count("BEGIN") == own.server_trust().count("BEGIN") == 2
    here.clock.now += OVERLAP
    assert own.server_authority.sha256 != server.sha256
    assert own.agents_trust() == own.agents_authority.pem()
    assert own.server_trust().count("BEGIN") == 2
    here.clock.now += OVERLAP
    assert own.server_trust() == own.server_authority.pem()
    again = Authorities.open(here.fleet.folder, "example.org", here.clock)
    assert again.server_authority.sha256 == own.server_authority.sha256


def test_a_generation_lives_half_of_its_life(here: Site) -> None:
    """Five years on the next is made, once, and a certificate of the old one is good until it ends."""
    context, before = public_context(here.authorities, ["127.0.0.1"]), here.authorities.agents_authority
    assert here.authorities.agents_authority is before
    here.clock.pass_hours(24 * 365 * 5)
    for _ in range(2):
        renew_server(context, here.authorities, ["127.0.0.1"])
    assert len(list((here.fleet.folder / "authorities").glob("agents-ca.*.pem"))) == 2
    end = int(before.certificate.not_valid_after_utc.timestamp()) * SECOND
    assert end > here.clock() + 2 * OVERLAP


CERTIFICATE: list[bytes] = []
REQUEST = ssl.PEM_cert_to_DER_cert(make_request(new_key()).replace(" REQUEST", ""))
CHANGES = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255), st.sampled_from("=-+")), max_size=4)


def _changed(raw: bytes, changes: list[tuple[int, int, str]]) -> bytes:
    found = bytearray(raw)
    for place, value, how in changes:
        at = place % len(found)
        found[at : at + (how != "+")] = b"" if how == "-" else bytes([value])
    return bytes(found)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")  # of 0 or less: to be refused by cryptography
@given(CHANGES)
@example([(7, 88, "=")])
@example([(12, 88, "=")])
def test_damaged_requests_and_certificates(tmp_path_factory: pytest.TempPathFactory, changes: Any) -> None:
    """Whatever the bytes are, they are read or refused with an error of ours."""
    if not CERTIFICATE:
        here, host = site(tmp_path_factory.mktemp("fleet")), "00000000-0000-7000-8000-000000000000"
        CERTIFICATE.append(here.authorities.issue(host, new_key().public_key(), bytes(range(16))).der)
    with suppress(DeniedError):
        presented(_changed(CERTIFICATE[0], changes))
    pem = ssl.DER_cert_to_PEM_cert(_changed(REQUEST, changes)).replace("CERTIFICATE", "CERTIFICATE REQUEST")
    with suppress(MalformedError):
        requested_key(pem)


def test_the_overlap_outlives_every_certificate() -> None:
    """Who renews at half of a certificate's life hears of the next server authority twice before it signs."""
    assert OVERLAP >= 2 * AGENT_LIFE >= 48 * HOUR
