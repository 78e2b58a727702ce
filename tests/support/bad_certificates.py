"""Certificates that must not open the agents' port, each wrong in one way, with the key that goes with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hwledger.fleet.certificates import Authority
from hwledger.fleet.enrolment import approve, ban, enrol, renew, retire, revoke
from hwledger.fleet.identities import check_member
from hwledger.fleet.presented import agent_uri
from hwledger.fleet.signing import make_request, new_key
from support.fleets import Host, Site

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
Shown = tuple[bytes, list[bytes]]
"""A private key (PEM) and a chain (DER), leaf first."""


@dataclass
class Leaf:
    """What a certificate says; each field can be made wrong."""

    names: Sequence[x509.GeneralName]
    key: Key = field(default_factory=new_key)
    purposes: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.CLIENT_AUTH,)
    begin: timedelta = timedelta(minutes=-5)
    end: timedelta = timedelta(hours=24)
    is_authority: bool = False
    digest: hashes.HashAlgorithm = field(default_factory=hashes.SHA256)
    serial: int | None = None

    def signed(self, issuer: x509.Certificate | None, signing: Key | None) -> x509.Certificate:
        """Return it, signed by an issuer, or by itself."""
        signing = signing or self.key
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "agent")])
        now = datetime.now(UTC).replace(microsecond=0)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer.subject if issuer else name)
            .public_key(self.key.public_key())
            .serial_number(self.serial or x509.random_serial_number())
            .not_valid_before(now + self.begin)
            .not_valid_after(now + self.end)
            .add_extension(x509.BasicConstraints(ca=self.is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False
            )
        )
        if self.purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(self.purposes), critical=False)
        if self.names:
            builder = builder.add_extension(x509.SubjectAlternativeName(self.names), critical=False)
        if isinstance(signing, ed25519.Ed25519PrivateKey):
            return builder.sign(signing, None)
        return builder.sign(signing, self.digest)


def pem(key: Key) -> bytes:
    """Return a private key as PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def der(certificate: x509.Certificate) -> bytes:
    """Return a certificate as DER."""
    return certificate.public_bytes(Encoding.DER)


def _uri(text: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(text)


def _own(site: Site, host: Host) -> list[x509.GeneralName]:
    return [_uri(agent_uri(site.fleet.trust_domain, host.id))]


def _made(site: Site, host: Host, authority: Authority | None = None, **wrong: Any) -> Shown:
    leaf = Leaf(**{"names": _own(site, host), **wrong})
    issuer = authority or site.authorities.agents_authority
    return pem(leaf.key), [der(leaf.signed(issuer.certificate, issuer.key))]


def _by_leaf(site: Site, host: Host) -> Shown:
    """Return one signed by a host's own certificate."""
    leaf = Leaf(_own(site, host))
    parent = x509.load_der_x509_certificate(host.der)
    return pem(leaf.key), [der(leaf.signed(parent, host.key)), host.der]


def _by_intermediate(site: Site, host: Host) -> Shown:
    """Return one signed by an authority below the agents' authority, which may have none below it."""
    middle, leaf = Leaf([], is_authority=True, purposes=()), Leaf(_own(site, host))
    top = site.authorities.agents_authority
    parent = middle.signed(top.certificate, top.key)
    return pem(leaf.key), [der(leaf.signed(parent, middle.key)), der(parent)]


def _self_signed(site: Site, host: Host) -> Shown:
    leaf = Leaf(_own(site, host))
    return pem(leaf.key), [der(leaf.signed(None, None))]


def _stranger(site: Site, host: Host) -> Shown:
    """Return one of an authority that calls itself as ours does."""
    own = site.authorities.agents_authority.certificate
    key, leaf = new_key(), Leaf(_own(site, host))
    builder = x509.CertificateBuilder(
        own.subject, own.subject, key.public_key(), own.serial_number, own.not_valid_before_utc,
        own.not_valid_after_utc, list(own.extensions)[2:],
    )  # fmt: skip
    return pem(leaf.key), [der(leaf.signed(builder.sign(key, hashes.SHA256()), key))]


def _foreign_fleet(site: Site, host: Host) -> Shown:
    names = [_uri(agent_uri("other.example", host.id))]
    return _made(site, host, names=names)


def _shown(host: Host, key: Key | None = None) -> Shown:
    return pem(key or host.key), [host.der]


def _banned(site: Site, host: Host) -> Shown:
    ban(site.fleet, host.id, reason="test", actor="user:anna")
    return _shown(host)


def _retired(site: Site, host: Host) -> Shown:
    retire(site.fleet, host.id, actor="user:anna")
    return _shown(host)


def _revoked(site: Site, host: Host) -> Shown:
    revoke(site.fleet, host.member.serial, reason="test", actor="user:anna")
    return _shown(host)


def _superseded(site: Site, host: Host) -> Shown:
    key = new_key()
    answer = renew(site.fleet, site.authorities, host.member, make_request(key))
    check_member(site.fleet, Host(host.id, key, answer.certificate).der, "/a/v1/x")
    return _shown(host)


def _replaced_unused(site: Site, host: Host) -> Shown:
    """Return the next certificate of a host that asked for yet another instead of using it."""
    key = new_key()
    answer = renew(site.fleet, site.authorities, host.member, make_request(key))
    site.clock.now += 61_000_000
    renew(site.fleet, site.authorities, host.member, make_request(new_key()))
    return _shown(Host(host.id, key, answer.certificate))


def _waiting(site: Site, _host: Host) -> Shown:
    """Return a certificate that the authority signed for a host that nobody approved."""
    key = new_key()
    found = enrol(site.fleet, site.authorities, site.request(site.token(approve=True), key))
    return _made(site, Host(found.host, key, ""), key=key)


def _approved(site: Site, _host: Host) -> Shown:
    key = new_key()
    found = enrol(site.fleet, site.authorities, site.request(site.token(approve=True), key))
    approve(site.fleet, found.host, actor="user:anna")
    return _made(site, Host(found.host, key, ""), key=key)


def _same_serial(site: Site, host: Host) -> Shown:
    """Return what a thief of the authority's key would make: the serial on record, another key."""
    return _made(site, host, serial=int(host.member.serial, 16))


def _same_key(site: Site, host: Host) -> Shown:
    """Return the host's own key and serial, with a longer life than was given."""
    serial = int(host.member.serial, 16)
    return _made(site, host, key=host.key, serial=serial, end=timedelta(days=99))


def _of_server(site: Site, _host: Host) -> Shown:
    raw = site.authorities.server_chain(["127.0.0.1"]).read_bytes()
    return raw[: raw.index(b"-----BEGIN CERT")], [der(x509.load_pem_x509_certificates(raw)[0])]


def _stopped_by(**wrong: Any) -> Callable[[Site, Host], Shown]:
    return lambda site, host: _made(site, host, **wrong)


def _named(*texts: str) -> Callable[[Site, Host], Shown]:
    def made(site: Site, host: Host) -> Shown:
        words = {"domain": site.fleet.trust_domain, "host": host.id}
        return _made(site, host, names=[_uri(text.format(**words)) for text in texts])

    return made


def _dns_beside(site: Site, host: Host) -> Shown:
    return _made(site, host, names=[*_own(site, host), x509.DNSName("agent.example.org")])


BAD: dict[str, Callable[[Site, Host], Shown]] = {
    "expired": _stopped_by(begin=timedelta(days=-2), end=timedelta(seconds=-5)),
    "not valid yet": _stopped_by(begin=timedelta(hours=1)),
    "another authority of the same name": _stranger,
    "self-signed": _self_signed,
    "signed by an agent": _by_leaf,
    "signed by an authority below": _by_intermediate,
    "signed by the server's authority": lambda site, host: _made(
        site, host, site.authorities.server_authority
    ),
    "the server's own": _of_server,
    "for servers": _stopped_by(purposes=[ExtendedKeyUsageOID.SERVER_AUTH]),
    "for servers and clients": _stopped_by(
        purposes=[ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    ),
    "for anything": _stopped_by(purposes=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]),
    "for nothing said": _stopped_by(purposes=()),
    "an authority as a leaf": _stopped_by(is_authority=True),
    "no name": _stopped_by(names=()),
    "two names": _named("spiffe://{domain}/agent/{host}", "spiffe://{domain}/agent/{host}x"),
    "a DNS name alone": _stopped_by(names=[x509.DNSName("agent.example.org")]),
    "an address alone": lambda site, host: _made(site, host, names=[x509.RFC822Name("a@example.org")]),
    "a DNS name beside": _dns_beside,
    "another trust domain": _foreign_fleet,
    "the path of a user": _named("spiffe://{domain}/user/{host}"),
    "the path of the server": _named("spiffe://{domain}/server/api"),
    "a longer path": _named("spiffe://{domain}/agent/{host}/x"),
    "a path in capitals": _named("spiffe://{domain}/AGENT/{host}"),
    "a port in the name": _named("spiffe://{domain}:1/agent/{host}"),
    "another scheme": _named("https://{domain}/agent/{host}"),
    "a host that nobody knows": _named("spiffe://{domain}/agent/00000000-0000-7000-8000-000000000000"),
    "an RSA key": lambda site, host: _made(site, host, key=rsa.generate_private_key(65537, 2048)),
    "a key of another curve": lambda site, host: _made(
        site, host, key=ec.generate_private_key(ec.SECP384R1())
    ),
    "an Ed25519 key": lambda site, host: _made(site, host, key=ed25519.Ed25519PrivateKey.generate()),
    "not on record": _stopped_by(),
    "the serial on record, another key": _same_serial,
    "the key and serial on record, longer": _same_key,
    "banned": _banned,
    "retired": _retired,
    "revoked": _revoked,
    "superseded": _superseded,
    "replaced before it was used": _replaced_unused,
    "waiting": _waiting,
    "approved, not issued": _approved,
}
"""By what is wrong: what to show instead of the certificate of a host; it may change the fleet on the way."""
