"""The witness rule: whoever has seen a ledger at a size holds it to that.

A restored old backup, an end that was cut off and a history that was made anew all verify in themselves; they
do not continue what somebody else has seen.
"""

from collections.abc import Sequence

from hwledger.errors import AlteredError
from hwledger.ledger.merkle import EMPTY_ROOT, continues
from hwledger.ledger.note import Checkpoint


def witness(seen: Checkpoint | None, shown: Checkpoint, proof: Sequence[bytes] = ()) -> Checkpoint:
    """Return the checkpoint to keep, or refuse one that does not continue what was seen.

    Args:
        seen: what was last kept; ``None``: nothing yet, so what is shown is taken on trust.
        shown: what the ledger shows now; its signature has been checked.
        proof: the consistency proof from ``seen.size`` to ``shown.size``.

    Raises:
        AlteredError: it is of another ledger, shorter, or not a continuation.
    """
    if seen is None:
        return shown
    if seen.origin != shown.origin:
        raise AlteredError(
            f"this is the ledger {shown.origin}, and {seen.origin} was seen before; ask its operator"
        )
    if shown.size < seen.size:
        raise AlteredError(
            f"the ledger {shown.origin} has {shown.size} events and had {seen.size}: its end was cut off or"
            f" an old copy was put back; events {shown.size + 1} to {seen.size} are missing",
            shown.size + 1,
        )
    same_size = seen.size == shown.size
    whole = seen.root == EMPTY_ROOT if seen.size == 0 else continues(
        seen.size, shown.size, seen.root, shown.root, () if same_size else proof
    )  # fmt: skip
    if not whole:
        raise AlteredError(
            f"the ledger {shown.origin} shows a history of {shown.size} events that does not continue the"
            f" {seen.size} that were seen: it was made anew or forked; trust the copy that verifies"
            " against the older checkpoint"
        )
    return shown
