"""Signed checkpoints, and what a witness accepts."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from hwledger.errors import AlteredError, MalformedError
from hwledger.ledger.merkle import EMPTY_ROOT, Frontier, consistency_proof, root_of
from hwledger.ledger.note import Checkpoint, VerifierKey, opened, signed, unverified, verifier_key
from hwledger.ledger.witness import witness
from unit.ledger.test_merkle import numbered, tree

pytestmark = pytest.mark.requirement("FR-LEDGER-CHECKPOINT")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ORIGIN = "hwledger.example/one"
CHECKPOINT = Checkpoint(ORIGIN, 5, root_of(numbered(5)))
PUBLIC = verifier_key(ORIGIN, KEY)
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6Ry"
    "yBwJnAM=\n"
)


def test_a_foreign_key_and_note_are_understood() -> None:
    """The example of Go's note package: its key line is ours, and its signature is true for that text."""
    key = VerifierKey.read(GO_KEY)
    assert key.text() == GO_KEY
    with pytest.raises(MalformedError, match="no checkpoint"):  # signed truly, but the text is no checkpoint
        opened(GO_NOTE, key)
    with pytest.raises(MalformedError, match="false"):
        opened(GO_NOTE.replace("answer", "Answer"), key)


def test_a_note_is_three_lines_and_a_signature() -> None:
    """The form is the published one, letter by letter, and the signature covers the three lines."""
    note = signed(CHECKPOINT, KEY)
    text, _, signature = note.partition("\n\n")
    assert text == f"{ORIGIN}\n5\n{base64.b64encode(CHECKPOINT.root).decode()}"
    raw = base64.b64decode(signature.removeprefix(f"— {ORIGIN} "))
    assert raw[:4] == PUBLIC.key_id
    KEY.public_key().verify(raw[4:], f"{text}\n".encode())
    assert opened(note, VerifierKey.read(PUBLIC.text())) == unverified(note) == CHECKPOINT


@given(st.integers(0, 1 << 20))
def test_any_changed_bit_of_a_note_is_refused(place: int) -> None:
    """No flipped bit leaves a note that is accepted for anything."""
    raw = bytearray(signed(CHECKPOINT, KEY).encode())
    raw[place // 8 % len(raw)] ^= 1 << place % 8
    with pytest.raises(MalformedError):
        opened(raw.decode("utf-8", "replace"), PUBLIC)


@given(st.text(max_size=200))
def test_any_text_is_refused_in_a_sentence(text: str) -> None:
    """Notes and keys come from outside: what is none ends in one kind of error."""
    for read in (lambda: opened(text, PUBLIC), lambda: unverified(text), lambda: VerifierKey.read(text)):
        with pytest.raises(MalformedError):
            read()


def test_signatures_of_others_are_passed_over_and_alone_refused() -> None:
    """A co-signed note is accepted; one that only another key, or a key of another name, signed is not."""
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    note, foreign = signed(CHECKPOINT, KEY), signed(CHECKPOINT, other)
    cosigned = foreign + note.rpartition("\n\n")[2]
    assert opened(cosigned, PUBLIC) == CHECKPOINT
    for key in (verifier_key(ORIGIN, other), verifier_key("another", KEY)):
        with pytest.raises(MalformedError, match="not signed by"):
            opened(note, key)
    with pytest.raises(MalformedError, match="cannot sign"):
        signed(Checkpoint("two words", 1, EMPTY_ROOT), KEY)


@pytest.mark.parametrize("size", ["05", "-1", "1.0", "", "9" * 20])
def test_sizes_that_are_not_plain_numbers_are_refused(size: str) -> None:
    """Only one spelling of a size is signed and read."""
    root = base64.b64encode(EMPTY_ROOT).decode()
    with pytest.raises(MalformedError, match="no checkpoint"):
        unverified(f"{ORIGIN}\n{size}\n{root}\n\n— a AAAAAAAA\n")


def checkpoint(leaves: list[bytes], size: int, origin: str = ORIGIN) -> Checkpoint:
    """Return what a ledger of these leaves was at a size."""
    return Checkpoint(origin, size, root_of(leaves[:size]))


@given(st.integers(0, 40), st.integers(0, 40))
def test_a_witness_keeps_what_continues(old: int, more: int) -> None:
    """Growth with its proof, and the same again without one, is accepted from any size, 0 too."""
    leaves = numbered(old + more)
    seen, shown = checkpoint(leaves, old), checkpoint(leaves, old + more)
    proof = consistency_proof(old, old + more, tree(leaves)) if old else []
    assert witness(None, seen) == seen
    assert witness(seen, shown, proof) == shown


@given(st.integers(2, 40), st.integers(0, 40), st.integers(0, 39))
def test_a_witness_refuses_what_does_not(old: int, more: int, changed: int) -> None:
    """A shorter ledger, another past, the same size with another root, another ledger: refused."""
    leaves = numbered(old + more)
    seen = checkpoint(leaves, old)
    with pytest.raises(AlteredError, match=f"events {old} to {old} are missing") as caught:
        witness(seen, checkpoint(leaves, old - 1))
    assert caught.value.seq == old
    forged = list(leaves)
    forged[changed % old] = numbered(1000)[-1]
    proof = consistency_proof(old, old + more, tree(forged))
    with pytest.raises(AlteredError, match="made anew or forked"):
        witness(seen, checkpoint(forged, old + more), proof)
    with pytest.raises(AlteredError, match="was seen before"):
        witness(seen, checkpoint(leaves, old, "another"))
    assert Frontier().root() == EMPTY_ROOT
