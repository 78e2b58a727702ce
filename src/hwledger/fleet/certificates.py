"""The two authorities of a fleet: one signs its server, one its agents; neither can stand in for the other.

Each lies in one file with its key, mode 0600, and has generations: ``roll`` makes the next one. Which
generation signs and which are trusted follows from their age alone.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hwledger.errors import MalformedError, MissingError, UsageError
from hwledger.fleet.presented import agent_uri, microseconds, serial_text
from hwledger.fleet.private import make_private, read_private, write_private
from hwledger.fleet.signing import key_pem, new_key, read_key

HOUR: Final = 3_600_000_000
AGENT_LIFE: Final = 24 * HOUR
BACK_DATED: Final = HOUR // 12
"""Five minutes, of agents' certificates: by so much the server's clock may be set back."""
SERVER_BACK_DATED: Final = 72 * HOUR
"""Of what agents read, whose clocks may be slow by two days: the server's certificate, its authority's."""
OVERLAP: Final = 48 * HOUR
"""How long an old and a new generation are both trusted: twice the life of an agent's certificate."""
_SERVER_LIFE: Final = 30 * 24 * HOUR
_AUTHORITY_LIFE: Final = 3650 * 24 * HOUR
_DOMAIN: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,253}[a-z0-9])?")
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_SIGNING = x509.KeyUsage(
    digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
    key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
)  # fmt: skip
_CERTIFYING = x509.KeyUsage(
    digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
    key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Authority:
    """One generation of an authority: its certificate and the key that signs."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def made(self) -> int:
        """Return when it was made, in microseconds since 1970."""
        return microseconds(self.certificate.not_valid_before_utc) + SERVER_BACK_DATED

    @property
    def sha256(self) -> bytes:
        """Return the hash of its certificate (DER), 32 bytes: what a join token carries."""
        return self.certificate.fingerprint(hashes.SHA256())

    def pem(self) -> str:
        """Return its certificate."""
        return self.certificate.public_bytes(Encoding.PEM).decode()


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate of an agent.

    Attributes:
        serial: hexadecimal.
        der: the certificate.
        not_after: microseconds since 1970.
    """

    serial: str
    der: bytes
    not_after: int


class Authorities:
    """The authorities of one fleet, in a folder of their own.

    Attributes:
        folder: where they lie.
        trust_domain: the name in the SPIFFE URIs of the fleet's members.
    """

    def __init__(self, folder: Path, trust_domain: str, clock: Callable[[], int]) -> None:
        self.folder = folder
        self.trust_domain = trust_domain
        self._clock = clock
        self._servers: list[Authority] = []
        self._agents: list[Authority] = []

    @classmethod
    def open(cls, folder: Path, trust_domain: str, clock: Callable[[], int]) -> Self:
        """Return the authorities of a fleet's folder, made there first where there are none.

        Args:
            folder: of the fleet; they lie in ``authorities`` in it.
            trust_domain: small letters, digits, dots, dashes and underscores.
            clock: microseconds since 1970.

        Raises:
            UsageError: the trust domain cannot be one.
            MalformedError: a file is damaged.
            InputError: a file cannot be read or written, or others may read it.
        """
        if not _DOMAIN.fullmatch(trust_domain):
            raise UsageError(f"{trust_domain!r} cannot be a trust domain; use a-z, 0-9, '.', '-' and '_'")
        found = cls(folder / "authorities", trust_domain, clock)
        for name in ("server-ca", "agents-ca"):
            if not _generations(found.folder, name):
                found._make(name, 1)
        found._load()
        return found

    def _make(self, name: str, number: int) -> None:
        domain = self.trust_domain if name == "agents-ca" else None
        made = _authority(f"hwledger {name} {number} of {self.trust_domain}"[:64], domain, self._clock())
        make_private(self.folder / f"{name}.{number}.pem", key_pem(made.key) + made.pem().encode())

    def _load(self) -> None:
        self._servers, self._agents = (
            [_read(path) for path in _generations(self.folder, name)] for name in ("server-ca", "agents-ca")
        )

    def roll(self) -> None:
        """Make the next generation of both.

        Agents' certificates are signed by it at once, the server's after ``OVERLAP``, when all know it.
        """
        for name in ("server-ca", "agents-ca"):
            last = _generations(self.folder, name)[-1]
            self._make(name, int(last.suffixes[-2][1:]) + 1)
        self._load()

    def roll_when_due(self) -> None:
        """Make the next generation once the newest has lived half of its life."""
        if self._clock() - self._agents[-1].made >= _AUTHORITY_LIFE // 2:
            self.roll()

    @property
    def server_authority(self) -> Authority:
        """Return the generation that signs the server's certificate now."""
        ready = [one for one in self._servers if self._clock() - one.made >= OVERLAP]
        return ready[-1] if ready else self._servers[0]

    @property
    def agents_authority(self) -> Authority:
        """Return the generation that signs agents' certificates now."""
        return self._agents[-1]

    def server_trust(self) -> str:
        """Return what agents trust servers by: PEM of the generation before, of now, and of those to come."""
        now, signing = self._clock(), self._servers.index(self.server_authority)
        recent = signing and now - self._servers[signing].made < 2 * OVERLAP
        return "".join(one.pem() for one in self._servers[signing - bool(recent) :])

    def agents_trust(self) -> str:
        """Return what agents are trusted by: PEM of the newest, and of those replaced a short while ago."""
        now = self._clock()
        replaced = zip(self._agents[:-1], self._agents[1:], strict=True)
        old = [one for one, successor in replaced if now - successor.made < OVERLAP]
        return "".join(one.pem() for one in (*old, self._agents[-1]))

    def issue(self, host: str, key: ec.EllipticCurvePublicKey, serial: bytes) -> Issued:
        """Return a certificate for a host's key: a day long, one SPIFFE URI, to be a client and nothing else.

        Args:
            host: a UUID.
            key: of the curve P-256; that its owner has the private half was shown.
            serial: 16 unpredictable bytes.
        """
        now, number = self._clock(), int.from_bytes(serial[:16], "big") >> 1 or 1
        names = [x509.UniformResourceIdentifier(agent_uri(self.trust_domain, host))]
        life = (now - BACK_DATED, now + AGENT_LIFE)
        made = _leaf(key, names, ExtendedKeyUsageOID.CLIENT_AUTH, self.agents_authority, number, life)
        end = microseconds(made.not_valid_after_utc)
        return Issued(serial_text(number), made.public_bytes(Encoding.DER), end)

    def server_chain(self, names: Sequence[str]) -> Path:
        """Return the file of the server's key and certificate for names and addresses, made anew when due.

        It is due after two thirds of its life, for other names, and when another generation signs.

        Raises:
            UsageError: there is no name, or one that cannot be.
        """
        path = self.folder / "server.pem"
        wanted = [_general_name(name) for name in dict.fromkeys(names)]
        if not wanted:
            raise UsageError("the server needs a name or an address in its certificate; give one")
        if not path.exists() or not self._is_fresh(read_private(path), wanted):
            key, authority, serial = new_key(), self.server_authority, x509.random_serial_number()
            purpose = ExtendedKeyUsageOID.SERVER_AUTH
            now = self._clock()
            life = (now - SERVER_BACK_DATED, now + _SERVER_LIFE)
            made = _leaf(key.public_key(), wanted, purpose, authority, serial, life)
            write_private(path, key_pem(key) + made.public_bytes(Encoding.PEM) + authority.pem().encode())
        return path

    def _is_fresh(self, raw: bytes, wanted: Sequence[x509.GeneralName]) -> bool:
        try:
            leaf = x509.load_pem_x509_certificates(raw)[0]
            names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            read_key(raw)
            leaf.verify_directly_issued_by(self.server_authority.certificate)
        except Exception:  # noqa: BLE001 - whatever is wrong with it, another is made
            return False
        begin, end = microseconds(leaf.not_valid_before_utc), microseconds(leaf.not_valid_after_utc)
        return list(names) == list(wanted) and begin <= self._clock() < begin + (end - begin) * 2 // 3


def server_authority_hash(folder: Path, trust_domain: str, clock: Callable[[], int]) -> bytes:
    """Return the hash that a join token carries, of the authorities in a fleet's folder.

    Raises:
        MissingError: no server made them yet.
    """
    if not _generations(folder / "authorities", "server-ca"):
        raise MissingError("this fleet has no server yet; start one with 'hwledger up'")
    return Authorities.open(folder, trust_domain, clock).server_authority.sha256


def _generations(folder: Path, name: str) -> list[Path]:
    found = [path for path in folder.glob(f"{name}.*.pem") if path.suffixes[-2][1:].isdigit()]
    return sorted(found, key=lambda path: int(path.suffixes[-2][1:]))


def _read(path: Path) -> Authority:
    raw = read_private(path)
    try:
        certificate = x509.load_pem_x509_certificate(raw)
        key = read_key(raw)
    except (ValueError, MalformedError):
        raise MalformedError(f"{path}: holds no authority with its key; restore it from a backup") from None
    if certificate.public_key() != key.public_key():
        raise MalformedError(f"{path}: key and certificate do not belong together; restore a backup")
    return Authority(certificate, key)


def _authority(name: str, trust_domain: str | None, now: int) -> Authority:
    key = new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        _builder(subject, subject, key.public_key(), key.public_key(), x509.random_serial_number())
        .not_valid_before(_moment(now - SERVER_BACK_DATED))
        .not_valid_after(_moment(now + _AUTHORITY_LIFE))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_CERTIFYING, critical=True)
    )
    if trust_domain:
        only = [x509.UniformResourceIdentifier(trust_domain)]
        limits = x509.NameConstraints(permitted_subtrees=only, excluded_subtrees=[x509.DNSName("")])
        builder = builder.add_extension(limits, critical=True)
    return Authority(builder.sign(key, hashes.SHA256()), key)


def _leaf(  # noqa: PLR0913, PLR0917 - what a certificate says
    key: ec.EllipticCurvePublicKey,
    names: Sequence[x509.GeneralName],
    purpose: x509.ObjectIdentifier,
    authority: Authority,
    serial: int,
    life: tuple[int, int],
) -> x509.Certificate:
    issuer, signing = authority.certificate.subject, authority.key
    return (
        _builder(x509.Name([]), issuer, key, signing.public_key(), serial)
        .not_valid_before(_moment(life[0]))
        .not_valid_after(_moment(life[1]))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_SIGNING, critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .sign(signing, hashes.SHA256())
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    serial: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _moment(microseconds_since_1970: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=microseconds_since_1970 // 1_000_000)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no name or address of a server; leave out ports") from None
        return x509.DNSName(name)
