"""How hosts come into the fleet, stay in it and leave it: the decisions, in one place to call them from."""

from hwledger.fleet.admission import enrol
from hwledger.fleet.members import approve, ban, retire, revoke
from hwledger.fleet.nonces import Nonces
from hwledger.fleet.renewal import renew, renew_with_proof
from hwledger.fleet.tokens import create_token, expire_tokens

__all__ = [
    "Nonces", "approve", "ban", "create_token", "enrol", "expire_tokens", "renew", "renew_with_proof",
    "retire", "revoke",
]  # fmt: skip
