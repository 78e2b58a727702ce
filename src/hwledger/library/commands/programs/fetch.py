"""``wget`` and ``curl``: a model file that is fetched, or a model that an Ollama server is asked for."""

import json
import re
from typing import Final

from hwledger.errors import UsageError
from hwledger.library.commands.draft import Call, Draft
from hwledger.library.commands.programs import ollama
from hwledger.library.deployment import Deployment

_ADDRESS: Final = re.compile(r"https?://\S{1,2000}")
_FILE: Final = re.compile(r"https?://[^?#\s]{1,1000}\.gguf(?:[?#]\S{0,1000})?", re.IGNORECASE)
_ASKED: Final = re.compile(
    r"(?:https?://)?[\w.:$\{\}-]{1,200}/api/(?:generate|chat|embed|embeddings|pull|show)/?"
)
_DATA: Final = ("-d", "--data", "--data-raw", "--json", "--data-binary")


def wanted(call: Call) -> bool:
    """Whether the words fetch a GGUF file, or ask an Ollama server for a model."""
    return bool(_files(call) or _body(call).get("model"))


def read(call: Call) -> Deployment:
    """Return the model that is fetched or asked for.

    Raises:
        UsageError: none is, or several are.
    """
    files = _files(call)
    if len(files) > 1:
        raise UsageError(f"{call.program} fetches {len(files)} model files; paste the address of one")
    if files:
        draft = Draft(call, None)
        draft.model = files[0].partition("?")[0]
        return draft.deployment()
    return _asked(call)


def _files(call: Call) -> list[str]:
    """Addresses of GGUF files; of a model in parts, the first."""
    found = [word for word in call.words if _FILE.fullmatch(word) and "mmproj" not in word.lower()]
    parts = {re.sub(r"-\d{5}-of-(?=\d{5})", "-of-", word): word for word in reversed(found)}
    return list(parts.values())


def _body(call: Call) -> dict[str, object]:
    """The JSON object that an Ollama server is sent; empty where none is."""
    words = call.words
    if not any(_ASKED.fullmatch(word) for word in words):
        return {}
    texts = [words[at + 1] for at in range(len(words) - 1) if words[at] in _DATA]
    try:
        given = json.loads(texts[0], strict=False) if texts else {}
    except (ValueError, RecursionError):
        return {}
    return given if isinstance(given, dict) else {}


def _asked(call: Call) -> Deployment:
    body = _body(call)
    draft = Draft(call, "llama.cpp")
    draft.model = ollama.reference(draft, str(body.get("model") or "")) if body.get("model") else ""
    options = body.get("options")
    for name, value in options.items() if isinstance(options, dict) else ():
        ollama.parameter(draft, str(name), str(value))
    return draft.deployment()
