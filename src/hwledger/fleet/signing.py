"""Requests for certificates, as agents make them and as the server reads them.

Of a request only the key counts: that its owner has the private half, and that it is one of the curve P-256.
Every name and extension in it is ignored; the server writes its own.
"""

from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from hwledger.errors import MalformedError

_LONGEST: Final = 8192
_WRONG: Final = "the certificate request cannot be used"


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new key of the curve P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as PEM (PKCS #8), unencrypted: it belongs into a file of mode 0600."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def read_key(raw: bytes) -> ec.EllipticCurvePrivateKey:
    """Return the private key of a PEM.

    Raises:
        MalformedError: it holds none of the curve P-256.
    """
    try:
        key = load_pem_private_key(raw, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise MalformedError(
            "there is no private key in it; restore the file or join the fleet anew"
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise MalformedError("its key is not of the curve P-256; join the fleet anew")
    return key


def make_request(key: ec.EllipticCurvePrivateKey) -> str:
    """Return a request (PKCS #10, PEM) that says nothing but which key it is for."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def requested_key(pem: str) -> ec.EllipticCurvePublicKey:
    """Return the key of a request whose signature shows that who asks has the private half.

    Raises:
        MalformedError: it is no request, its key is another kind, or the signature is not by that key.
    """
    if len(pem) > _LONGEST:
        raise MalformedError(f"{_WRONG}: it takes {len(pem)} characters and may take {_LONGEST}")
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        key, digest = request.public_key(), request.signature_hash_algorithm
        genuine = request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, x509.InvalidVersion) as error:
        raise MalformedError(f"{_WRONG}: it is no PKCS #10 in PEM ({str(error)[:80]})") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise MalformedError(f"{_WRONG}: its key is not of the curve P-256; make one")
    if not isinstance(digest, hashes.SHA256 | hashes.SHA384 | hashes.SHA512) or not genuine:
        raise MalformedError(f"{_WRONG}: it is not signed by its own key with SHA-256")
    return key


def key_hash(key: ec.EllipticCurvePublicKey) -> str:
    """Return SHA-256 of a public key (SubjectPublicKeyInfo, DER), hexadecimal: what hosts are known by."""
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def is_signed(key: ec.EllipticCurvePublicKey, signature: bytes, text: bytes) -> bool:
    """Return whether a key signed a text (ECDSA with SHA-256, DER)."""
    try:
        key.verify(signature, text, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
