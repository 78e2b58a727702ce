"""Prompt caches of llama.cpp on disk: its own slot files, kept in the store that checks what it gives out.

llama.cpp takes a slot file of other weights of the same shape, does not see flipped bits, and aborts on one
that is cut off: so a file is handed to it only after the store found it just as it was written, for these
weights, this build, these types and these tokens. It then compares the tokens in the file with the prompt.

Source: llama.cpp ``tools/server/README.md`` (``POST /slots/{id_slot}?action=save|restore``), b4000 to b11549.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hwledger.errors import HwledgerError
from hwledger.planner.plan import Plan
from hwledger.runner.cache.fingerprint import fingerprint
from hwledger.runner.cache.keys import Scope, chain
from hwledger.runner.cache.store import BlockStore
from hwledger.runner.engine import Ask

BLOCK: Final = 256
LARGEST: Final = 2 << 30
"""Bytes of one slot file: it is in memory while it is written."""
_FILE: Final = "slot.bin"
Asking = Callable[[str, Mapping[str, object]], dict[str, Any]]
"""Asks the server: a path and a body; raises ``HwledgerError``."""


class Slots:
    """What is kept of the prompts of one server with one slot.

    Args:
        store: where.
        scope: what the numbers depend on.
    """

    def __init__(self, store: BlockStore, scope: Scope) -> None:
        self._store, self._scope = store, scope
        self.folder = Path(tempfile.mkdtemp(prefix="slots-", dir=_made(store.folder)))
        self._keys: list[str] = []
        self._at = 0

    @classmethod
    def of(cls, plan: Plan, model: str, version: str, folder: Path, budget_bytes: int) -> "Slots | None":
        """Return what is kept for a plan; ``None`` where nothing can be: several slots, or no file here.

        Args:
            plan: what runs.
            model: path of its GGUF file.
            version: the server's build; empty where it tells none, and then nothing is kept.
            folder: of the store.
            budget_bytes: of the store; 0: nothing is kept.
        """
        if not (budget_bytes and version and model) or plan.memory.concurrency > 1 or plan.spec.adapter:
            return None
        try:
            weights = fingerprint(Path(model), folder / "weights.sqlite")
            scope = Scope(
                engine="llama.cpp", engine_version=version, weights=weights, kv_type=plan.memory.kv_type,
                block_tokens=BLOCK,
                settings={name: str(value) for name, value in sorted(plan.memory.options.items())},
            )  # fmt: skip
            return cls(BlockStore(folder, budget_bytes), scope)
        except OSError:
            return None

    def restore(self, ask: Ask, asking: Asking) -> int:
        """Put the longest beginning of a prompt that is kept into the slot; return its tokens, 0 for none."""
        self._keys, self._at = [], 0
        try:
            self._keys = chain(self._scope, _tokens(ask, asking)[:-1])
        except (HwledgerError, ValueError):
            return 0
        for at in range(len(self._keys), 0, -1):
            content = self._store.get(self._keys[at - 1]) if self._store.has(self._keys[at - 1]) else None
            if content is None:
                continue
            if self._handed_over(content, asking):
                self._at = at
                return at * BLOCK
            self._store.forget(self._keys[at - 1])
        return 0

    def _handed_over(self, content: memoryview, asking: Asking) -> bool:
        path = self.folder / _FILE
        try:
            path.write_bytes(content)
            told = asking("/slots/0?action=restore", {"filename": _FILE})
        except (OSError, HwledgerError):
            return False
        finally:
            with contextlib.suppress(OSError):
                path.unlink()
        return bool(told.get("n_restored"))

    def keep(self, asking: Asking) -> None:
        """Keep the slot after an answer, where the prompt has more whole blocks than what was restored."""
        if len(self._keys) <= self._at or self._store.has(self._keys[-1]):
            return
        path = self.folder / _FILE
        try:
            asking("/slots/0?action=save", {"filename": _FILE})
            if path.stat().st_size <= LARGEST:
                *also, key = self._keys
                self._store.put(
                    key, path.read_bytes(), engine="llama.cpp", tokens=len(self._keys) * BLOCK, also=also
                )
        except (OSError, HwledgerError):
            return
        finally:
            with contextlib.suppress(OSError):
                path.unlink()

    def close(self) -> None:
        """Remove the folder that the server reads from and writes to."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _tokens(ask: Ask, asking: Asking) -> Sequence[int]:
    """Return the tokens of a prompt as the server makes them."""
    text: object = ask.prompt
    if ask.chat:
        text = asking("/apply-template", {"messages": [{"role": "user", "content": ask.prompt}]}).get(
            "prompt"
        )
    told = asking("/tokenize", {"content": str(text), "add_special": True, "parse_special": True}).get(
        "tokens"
    )
    return [each for each in told if isinstance(each, int)] if isinstance(told, list) else []
