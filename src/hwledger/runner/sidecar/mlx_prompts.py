"""Prompt caches of MLX on disk: a block of tokens in a file, with the keys and values of every layer.

What is computed is copied at once and written by a thread of its own; what is read is compared with the
caches that it is put into, number type and shape, before one number of it is used.
"""

import contextlib
import queue
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hwledger.runner.cache.arrays import Kept, pack, unpack
from hwledger.runner.cache.fingerprint import fingerprint
from hwledger.runner.cache.keys import Scope, chain
from hwledger.runner.cache.store import BlockStore
from hwledger.runner.sidecar.backend import NOTHING_KEPT

BLOCK: Final = 256
WAITING: Final = 64
"""Blocks that may wait to be written; more are not kept."""
WIDTHS: Final = {"float32": 4, "float16": 2, "bfloat16": 2}
FLUSH_S: Final = 60.0


class Prompts:
    """What is kept of prompts on disk; nothing by default."""

    def __init__(self, why: str = str(NOTHING_KEPT["why"])) -> None:
        self._store: BlockStore | None = None
        self._scope: Scope | None = None
        self._why = why
        self._hits = self._misses = 0
        self._there: set[str] = set()
        self._writing: queue.Queue[tuple[str, bytes, int] | None] = queue.Queue(WAITING)
        self._writer: threading.Thread | None = None

    @classmethod
    def of(cls, params: Mapping[str, Any], caches: Sequence[Any], device: str, version: str) -> "Prompts":
        """Return what ``load`` was told to keep, for caches that were just made."""
        asked = params.get("cache")
        if not isinstance(asked, dict):
            return cls()
        if not caches or not all(type(each).__name__ == "KVCache" for each in caches):
            return cls("the model has caches that cannot be cut into blocks")
        kinds = {_kind(array) for each in caches for array in (each.keys, each.values)}
        if len(kinds) != 1 or not kinds <= set(WIDTHS):
            return cls(f"its caches are of {' and '.join(sorted(kinds))}")
        folder = Path(asked["folder"])
        try:
            weights = fingerprint(Path(params["folder"]), folder / "weights.sqlite")
        except OSError as error:
            return cls(f"the model's files cannot be read: {error}")
        made = cls("")
        made._store = BlockStore(folder, int(asked["budget_bytes"]))
        made._scope = Scope(
            engine="mlx", engine_version=version, weights=weights, kv_type=kinds.pop(), block_tokens=BLOCK,
            settings={"device": device},
        )  # fmt: skip
        made._writer = threading.Thread(target=made._write, daemon=True)
        made._writer.start()
        return made

    def restore(self, tokens: Sequence[int], done: int, caches: Sequence[Any]) -> int:
        """Put what is kept of a prompt into the caches; return up to which token they hold it then.

        Args:
            tokens: of the prompt; the last one is always computed.
            done: tokens that the caches hold already.
            caches: with room for all of them.
        """
        if self._store is None or self._scope is None:
            return done
        keys = chain(self._scope, tokens[:-1])
        reached = done
        for at in range(done // BLOCK, len(keys)):
            content = self._store.get(keys[at])
            arrays = None if content is None else _fitting(content, caches)
            if arrays is None:
                self._there.discard(keys[at])
                if content is not None:
                    self._store.forget(keys[at])
                self._misses += 1
                break
            self._hits += 1
            self._there.add(keys[at])
            reached = _put(arrays, caches, at * BLOCK)
        return reached

    def keep(self, tokens: Sequence[int], done: int, caches: Sequence[Any]) -> None:
        """Have all full blocks of a prompt written that are not on the disk yet."""
        if self._store is None or self._scope is None:
            return
        for at, key in enumerate(chain(self._scope, tokens[:done])):
            if key not in self._there and not self._writing.full():
                self._there.add(key)
                if not self._store.has(key):
                    self._writing.put((key, _taken(caches, at * BLOCK), (at + 1) * BLOCK))

    def _write(self) -> None:
        while (item := self._writing.get()) is not None:
            assert self._store is not None  # noqa: S101 - the thread was started with it
            self._store.put(item[0], item[1], engine="mlx", tokens=item[2])
            self._writing.task_done()

    def close(self) -> None:
        """Write what waits, for a while."""
        if self._writer is not None:
            with contextlib.suppress(queue.Full):
                self._writing.put(None, timeout=FLUSH_S)
            self._writer.join(FLUSH_S)

    def stats(self) -> dict[str, Any]:
        """Return what is kept, for ``cache_stats``."""
        if self._store is None:
            return {**NOTHING_KEPT, "why": self._why}
        held = self._store.stats()
        return {
            "enabled": True, "why": "", "blocks": held.blocks, "bytes": held.size_bytes, "hits": self._hits,
            "misses": self._misses, "waiting": self._writing.unfinished_tasks, "folder": str(held.folder),
        }  # fmt: skip


def _kind(array: Any) -> str:
    return str(array.dtype).rpartition(".")[2]


def _taken(caches: Sequence[Any], begin: int) -> bytes:
    """Return a copy of one block of every layer."""
    import mlx.core as mx  # noqa: PLC0415 - an engine is imported when it is wanted

    kept: list[Kept] = []
    for layer, cache in enumerate(caches):
        for name, array in (("k", cache.keys), ("v", cache.values)):
            block = mx.contiguous(array[..., begin : begin + BLOCK, :])
            raw = bytes(memoryview(block.view(mx.uint8)))
            kept.append((f"{name}{layer}", _kind(array), tuple(block.shape), raw))
    return pack({"begin": begin}, kept)


def _fitting(content: memoryview, caches: Sequence[Any]) -> list[Any] | None:
    """Return the arrays of a block; ``None`` where they are not just those that the caches take."""
    import mlx.core as mx  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    found = unpack(content, WIDTHS)
    if found is None:
        return None
    wanted = [(f"{name}{layer}", _kind(array), (*array.shape[:2], BLOCK, array.shape[3]))
              for layer, cache in enumerate(caches)
              for name, array in (("k", cache.keys), ("v", cache.values))]  # fmt: skip
    if [kept[:3] for kept in found[1]] != wanted:
        return None
    arrays = []
    for _, kind, shape, raw in found[1]:
        flat = mx.array(np.frombuffer(raw, np.uint8)).view(getattr(mx, kind))
        arrays.append(flat.reshape(shape))
    return arrays


def _put(arrays: Sequence[Any], caches: Sequence[Any], begin: int) -> int:
    """Put a block into the caches; return up to which token they are filled."""
    import mlx.core as mx  # noqa: PLC0415

    end = begin + BLOCK
    for layer, cache in enumerate(caches):
        cache.keys[..., begin:end, :] = arrays[2 * layer]
        cache.values[..., begin:end, :] = arrays[2 * layer + 1]
        cache.offset = end
    mx.eval([array for cache in caches for array in (cache.keys, cache.values)])
    return end
