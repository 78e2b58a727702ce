"""What machines that join send, as JSON Schemas for the description of the API; ``fleet.wire`` reads it."""

from typing import Any, Final

_HEX: Final = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_UUID: Final = {"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}
_CSR: Final = {"type": "string", "maxLength": 8192, "description": "A certificate signing request, PEM."}
ENROL: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["protocol", "token", "csr", "name", "machine", "inventory", "version"],
    "properties": {
        "protocol": {"const": 1},
        "token": {"type": "string", "description": "The secret part of a join token.", "maxLength": 64},
        "csr": _CSR,
        "name": {"type": "string", "minLength": 1, "maxLength": 253},
        "machine": _HEX | {"description": "SHA-256 of the machine's id."},
        "inventory": {"type": "object"},
        "version": {"type": "string", "minLength": 1, "maxLength": 64},
    },
}
PROOF: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["host"],
    "properties": {
        "host": _UUID,
        "nonce": {
            "type": "string",
            "maxLength": 256,
            "description": "What the server gave; absent at first.",
        },
        "signature": {"type": "string", "maxLength": 256, "description": "By the enrolled key, base64url."},
        "csr": _CSR,
    },
}
