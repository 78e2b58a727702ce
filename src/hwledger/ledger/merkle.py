"""The Merkle tree of RFC 9162, section 2.1: roots, inclusion proofs and consistency proofs.

A tree is read through a ``Nodes`` function: ``nodes(level, index)`` is the hash of the full subtree over the
leaves ``index << level`` to ``(index + 1) << level``. Level 0 are the leaves themselves (``leaf_of``).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

Nodes = Callable[[int, int], bytes]
EMPTY_ROOT: Final = sha256(b"").digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees, 32 bytes: ``SHA-256(0x01 ‖ left ‖ right)``."""
    return sha256(b"\x01" + left + right).digest()


@dataclass
class Frontier:
    """The right edge of a growing tree: the full subtrees that its leaves make up, largest first.

    Attributes:
        size: leaves so far.
        peaks: (level, hash) of each full subtree, left to right.
    """

    size: int = 0
    peaks: list[tuple[int, bytes]] = field(default_factory=list)

    @classmethod
    def of(cls, size: int, nodes: Nodes) -> "Frontier":
        """Return the right edge of a stored tree."""
        levels = [level for level in reversed(range(size.bit_length())) if size >> level & 1]
        return cls(size, [(level, nodes(level, (size >> level) - 1)) for level in levels])

    def copy(self) -> "Frontier":
        """Return a frontier of its own."""
        return Frontier(self.size, list(self.peaks))

    def add(self, value: bytes, level: int = 0) -> list[tuple[int, int, bytes]]:
        """Add a leaf, or a full subtree of a level; return (level, index, hash) of nodes now full.

        A subtree has to begin where one of its level may: at a multiple of its leaves.
        """
        leaves, made = 1 << level, []
        while self.peaks and self.peaks[-1][0] == level:
            value = node_hash(self.peaks.pop()[1], value)
            level += 1
            made.append((level, self.size >> level, value))
        self.peaks.append((level, value))
        self.size += leaves
        return made

    def root(self) -> bytes:
        """Return the root of the tree so far, 32 bytes."""
        return _joined([value for _, value in self.peaks])


def _joined(peaks: Sequence[bytes]) -> bytes:
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.add(leaf)
    return frontier.root()


def root_at(size: int, nodes: Nodes) -> bytes:
    """Return the root that a stored tree had at a size."""
    return Frontier.of(size, nodes).root()


def inclusion_proof(index: int, size: int, nodes: Nodes) -> list[bytes]:
    """Return the hashes that lead from a leaf to the root (RFC 9162, 2.1.3.1).

    Args:
        index: the leaf, counted from 0: the sequence number less one.
        size: of the tree whose root is led to; larger than ``index``.
        nodes: the tree.

    Raises:
        ValueError: there is no such leaf in a tree of that size.
    """
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} in a tree of {size}")
    return _path(index, 0, size, nodes)


def _path(index: int, low: int, high: int, nodes: Nodes) -> list[bytes]:
    if high - low == 1:
        return []
    middle = low + _split(high - low)
    if index < middle:
        return [*_path(index, low, middle, nodes), _range_hash(middle, high, nodes)]
    return [*_path(index, middle, high, nodes), _range_hash(low, middle, nodes)]


def consistency_proof(old: int, size: int, nodes: Nodes) -> list[bytes]:
    """Return the hashes that show that a tree is the continuation of a smaller one (RFC 9162, 2.1.4.1).

    Raises:
        ValueError: ``old`` is not in 1 … ``size``.
    """
    if not 1 <= old <= size:
        raise ValueError(f"a tree of {size} continues none of {old}")
    return _subproof(old, 0, size, nodes, whole=True)


def _subproof(old: int, low: int, high: int, nodes: Nodes, *, whole: bool) -> list[bytes]:
    if old == high - low:
        return [] if whole else [_range_hash(low, high, nodes)]
    middle = _split(high - low)
    if old <= middle:
        left = _subproof(old, low, low + middle, nodes, whole=whole)
        return [*left, _range_hash(low + middle, high, nodes)]
    right = _subproof(old - middle, low + middle, high, nodes, whole=False)
    return [*right, _range_hash(low, low + middle, nodes)]


def _range_hash(low: int, high: int, nodes: Nodes) -> bytes:
    """Return the hash over the leaves ``low`` to ``high``; ``low`` is where such a subtree may begin."""
    peaks = []
    while low < high:
        level = (high - low).bit_length() - 1
        peaks.append(nodes(level, low >> level))
        low += 1 << level
    return _joined(peaks)


def _split(size: int) -> int:
    """Return the largest power of two that is smaller than a size."""
    return 1 << (size - 1).bit_length() - 1


def includes(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Return whether a proof shows a leaf to be in the tree of a root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, value = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            value = node_hash(sibling, value)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            value = node_hash(value, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and value == root


def continues(old: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]) -> bool:
    """Return whether a proof shows the tree of a root to continue an older one (RFC 9162, 2.1.4.2)."""
    if not 0 < old <= size:
        return False
    if old == size:
        return not proof and old_root == root
    path = [old_root, *proof] if old & old - 1 == 0 else list(proof)
    if not path:
        return False
    place, last = old - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = path[0]
    for value in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            first, second = node_hash(value, first), node_hash(value, second)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            second = node_hash(second, value)
        place, last = place >> 1, last >> 1
    return last == 0 and first == old_root and second == root
