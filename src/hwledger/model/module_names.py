"""Matching the module names that quantisation configs list against the names that families give tensors.

One model is spelled in several ways: ``model.layers.0``, ``language_model.model.layers.0`` and
``model.language_model.layers.0`` are the same layer, ``ffn`` and ``block_sparse_moe`` are an ``mlp``.
Both sides are brought to one spelling before they are compared.
"""

import re
from collections.abc import Iterable
from fnmatch import translate
from functools import lru_cache

from hwledger.errors import MalformedError

_PREFIX = re.compile(r"^(?:(?:model|language_model|text_model|backbone|transformer|thinker)\.)+")
_SYNONYMS = {
    "ffn": "mlp", "feed_forward": "mlp", "block_sparse_moe": "mlp", "attn": "self_attn",
    "w1": "gate_proj", "w2": "down_proj", "w3": "up_proj", "head": "lm_head", "embed": "embed_tokens",
    "indexers_proj": "weights_proj",
}  # fmt: skip
_WORD = re.compile(rf"(?<![A-Za-z0-9_])(?:{'|'.join(_SYNONYMS)})(?![A-Za-z0-9_])")
_SPELLED = ("", "model.", "language_model.model.", "model.language_model.")


@lru_cache(maxsize=8192)
def canonical(name: str) -> str:
    """Return the spelling of a module name that is compared; ``*``, any expert, reads as the first."""
    return _WORD.sub(lambda word: _SYNONYMS[word[0]], _PREFIX.sub("", name.replace(".*.", ".0.")))


class ModuleNames:
    """A set of module names, wildcards (``*self_attn*``) and expressions (``re:.*gate$``).

    A plain name covers the module and all inside it; one that does not start at a numbered layer
    (``lm_head``, ``mlp.gate``) is found anywhere in a path, at component boundaries.
    """

    def __init__(self, names: Iterable[str]) -> None:
        plain, wild, expressions = [], [], []
        for name in names:
            if name.startswith("re:"):
                expressions.append(_compiled(name[3:]))
            elif "*" in name or "?" in name:
                wild.append(name)
            else:
                plain.append(canonical(name.removesuffix(".weight")))
        self._plain = frozenset(plain)
        self._wild = re.compile("|".join(_wildcard(name) for name in wild)) if wild else None
        self._expressions = tuple(expressions)

    def __bool__(self) -> bool:
        """Whether there is any name."""
        return bool(self._plain or self._wild or self._expressions)

    def search(self, name: str) -> bool:
        """Return whether the module ``name`` is one of these, or inside one."""
        module = canonical(name)
        if self._plain and self._inside(module):
            return True
        if self._wild and self._wild.match(module):
            return True
        return any(
            expression.match(spelling)
            for expression in self._expressions
            for spelling in (name.replace(".*.", ".0."), *(prefix + module for prefix in _SPELLED))
        )

    def _inside(self, module: str) -> bool:
        words = module.split(".")
        for start in range(len(words)):
            if start and words[start] == "layers":
                continue  # layers of a tower are not the decoder's
            if any(".".join(words[start:end]) in self._plain for end in range(start + 1, len(words) + 1)):
                return True
        return False


def _wildcard(name: str) -> str:
    """Expression of a wildcard; like the engines', it covers what is inside the modules it names."""
    whole = translate(canonical(name.replace(".*.", ".\x00.")).replace("\x00", "*"))
    return whole if name.endswith("*") else whole.replace(r"\Z", r"(?:\..*)?\Z")


def _compiled(expression: str) -> re.Pattern[str]:
    try:
        return re.compile(expression)
    except re.error as error:
        raise MalformedError(f"module pattern {expression!r} is no regular expression: {error}") from None
