"""The Merkle tree against the RFC's own definition, and published vectors."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.ledger.event import leaf_of
from hwledger.ledger.merkle import (
    EMPTY_ROOT,
    Frontier,
    Nodes,
    consistency_proof,
    continues,
    includes,
    inclusion_proof,
    root_at,
    root_of,
)

pytestmark = pytest.mark.requirement("FR-LEDGER-PROOFS")
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""The reference inputs and roots of the Certificate Transparency project, in hexadecimal."""


def tree(leaves: list[bytes]) -> Nodes:
    """Return the full nodes of a tree, as they are stored while it grows."""
    kept, frontier = {(0, index): leaf for index, leaf in enumerate(leaves)}, Frontier()
    for leaf in leaves:
        kept |= {(level, index): value for level, index, value in frontier.add(leaf)}
    return lambda level, index: kept[level, index]


def defined_root(leaves: list[bytes]) -> bytes:
    """Return the root by the definition in RFC 9162, 2.1.1, word by word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = max(1 << power for power in range(20) if 1 << power < len(leaves))
    return sha256(b"\x01" + defined_root(leaves[:split]) + defined_root(leaves[split:])).digest()


def numbered(count: int) -> list[bytes]:
    """Return so many different leaves."""
    return [leaf_of(str(number).encode()) for number in range(count)]


def test_published_roots() -> None:
    """Each size from 1 to 8 has the root that others published, and the empty tree the RFC's."""
    leaves = [leaf_of(bytes.fromhex(text)) for text in INPUTS]
    assert [root_of(leaves[: size + 1]).hex() for size in range(8)] == ROOTS
    assert root_of([]) == EMPTY_ROOT == defined_root([])


def test_published_proofs() -> None:
    """Proofs over the same inputs are those of the published vectors: leaf 5 of 8, and 6 to 8."""
    nodes = tree([leaf_of(bytes.fromhex(text)) for text in INPUTS])
    assert [value.hex() for value in inclusion_proof(5, 8, nodes)] == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    assert [value.hex() for value in consistency_proof(6, 8, nodes)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 31, 32, 33, 64, 100])
def test_every_leaf_and_every_older_size_can_be_proved(size: int) -> None:
    """Roots are those of the definition; each proof convinces, and of nothing else."""
    leaves = numbered(size)
    nodes, root = tree(leaves), defined_root(leaves)
    assert root_of(leaves) == root_at(size, nodes) == root
    for index in range(size):
        proof = inclusion_proof(index, size, nodes)
        assert includes(leaves[index], index, size, proof, root)
        assert not includes(leaf_of(b"x"), index, size, proof, root)
        assert size == 1 or not includes(leaves[index], (index + 1) % size, size, proof, root)
    for old in range(1, size + 1):
        proof = consistency_proof(old, size, nodes)
        old_root = root_at(old, nodes)
        assert old_root == defined_root(leaves[:old])
        assert continues(old, size, old_root, root, proof)
        assert not continues(old, size, leaf_of(b"x"), root, proof)
        assert not continues(old, size, old_root, leaf_of(b"x"), proof)
        assert not continues(old, size, old_root, root, [*proof, root])
        assert old == size or not continues(old, size, old_root, root, proof[:-1])


@given(st.integers(1, 200), st.data())
def test_a_changed_proof_convinces_nobody(size: int, data: st.DataObject) -> None:
    """A flipped bit in a proof, a hash too many or too few: it is refused."""
    leaves = numbered(size)
    nodes, root = tree(leaves), root_of(leaves)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, nodes)
    assert not includes(leaves[index], index, size, [*proof, root], root)
    if proof:
        place, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
        raw = bytearray(proof[place])
        raw[bit // 8] ^= 1 << bit % 8
        assert not includes(
            leaves[index], index, size, [*proof[:place], bytes(raw), *proof[place + 1 :]], root
        )
        assert not includes(leaves[index], index, size, proof[:-1], root)


@given(st.integers(0, 300), st.integers(0, 100))
def test_growing_on_from_a_stored_tree_is_growing_at_once(size: int, more: int) -> None:
    """The right edge that is read back makes the same nodes and root as the one that was never put down."""
    leaves = numbered(size + more)
    frontier = Frontier.of(size, tree(leaves))
    for leaf in leaves[size:]:
        frontier.add(leaf)
    assert (frontier.size, frontier.root()) == (size + more, root_of(leaves))


def test_what_is_not_in_the_tree_has_no_proof() -> None:
    """Leaves and sizes outside of the tree are refused, by makers and checkers of proofs."""
    nodes = tree(numbered(5))
    for index, size in ((5, 5), (-1, 5)):
        with pytest.raises(ValueError, match="no leaf"):
            inclusion_proof(index, size, nodes)
        assert not includes(leaf_of(b"x"), index, size, [], leaf_of(b"x"))
    for old in (0, 6):
        with pytest.raises(ValueError, match="continues none"):
            consistency_proof(old, 5, nodes)
        assert not continues(old, 5, EMPTY_ROOT, root_at(5, nodes), [])
