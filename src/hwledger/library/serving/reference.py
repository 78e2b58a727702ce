"""The model that a server names: a path on its own machine as often as a name."""

import re
from pathlib import Path
from typing import Final

from hwledger.errors import MalformedError
from hwledger.library.serving.address import is_server

_NAME: Final = r"[A-Za-z0-9_][\w.-]{0,95}"
_REPO: Final = re.compile(rf"{_NAME}/{_NAME}(?:@[\w./-]{{1,200}})?(?::[\w.-]{{1,80}})?", re.ASCII)
_REVISION: Final = re.compile(r"\w[\w.-]{0,100}", re.ASCII)
_CACHED: Final = re.compile(
    r"(?:^|/)models--(?P<repo>[\w.-]{1,200})/snapshots/(?P<commit>[0-9a-f]{40})(?:/(?P<file>[\w./-]{1,300}))?/?$",
    re.ASCII,
)
_PREFIX: Final = re.compile(r"[A-Za-z][\w.+-]+:", re.ASCII)
_FOLDERS: Final = frozenset({
    "app", "cache", "checkpoint", "checkpoints", "ckpt", "ckpts", "content", "data", "dev", "disk",
    "gguf", "hf", "home", "hub", "huggingface", "llm", "llms", "local", "media", "mnt", "model",
    "model-store", "models", "mount", "nas", "nfs", "opt", "pretrained", "raid", "repo",
    "repository", "root", "scratch", "share", "shared", "snapshots", "srv", "storage", "tmp",
    "users", "usr", "var", "volume", "volumes", "weights", "work", "workspace",
})  # fmt: skip
_WEIGHTS: Final = (".gguf", ".safetensors", ".bin", ".json")
_LEAST_PARTS: Final = 3


def model_reference(stated: str) -> tuple[str, str | None]:
    """Return the best reference to the model that a server states, and a sentence where it is a guess.

    A path that exists here is that; a path in the hub's cache is the repository at its commit; a path that
    ends like ``org/name`` is taken for that name; any other path stays as it is.

    Raises:
        MalformedError: it is an address or asks for another source: a server does not decide what else is
            contacted.
    """
    text = stated.strip()
    slashed = text.replace("\\", "/")
    if not slashed.startswith("//") and _is_here(text):
        return text, f"the server runs {text}; the file of that name on this machine was read"
    cached = _CACHED.search(slashed)
    if cached:
        return _of_cache(cached), None
    _refuse_addresses(text)
    if _REPO.fullmatch(text) and not text.lower().endswith(_WEIGHTS):
        return text, None
    return _from_path(text, slashed)


def best_reference(path: str | None, name: str | None) -> tuple[str, str | None] | None:
    """Return the best reference to a model that a server states by path and by name; ``None``: by neither.

    The name counts where it looks like one of the hub and the path leads nowhere from here.

    Raises:
        MalformedError: as ``model_reference``.
    """
    found = model_reference(path) if path else None
    if path and found and (found[1] is None or found[0] != path or _is_here(path)):
        return found
    if path and name and name != path and _REPO.fullmatch(name):
        return name, f"{name} is what the server calls the model that it runs from {path}"
    return found or (model_reference(name) if name else None)


def revision_of(model: str, stated: str | None) -> str | None:
    """Return the revision that a server states, where ``model`` is a repository that names none itself."""
    usable = stated and _REVISION.fullmatch(stated) and "@" not in model and _REPO.fullmatch(model)
    return stated if usable else None


def _is_here(text: str) -> bool:
    rooted = text.startswith(("/", ".")) or text.lower().endswith(".gguf") or text[1:3] == ":\\"
    try:
        return rooted and Path(text).exists()
    except (OSError, ValueError):
        return False


def _of_cache(cached: re.Match[str]) -> str:
    repo = cached["repo"].replace("--", "/", 1)
    file = f"/{cached['file'].strip('/')}" if cached["file"] and "/" in repo else ""
    return f"hf:{repo}@{cached['commit']}{file}"


def _refuse_addresses(text: str) -> None:
    prefix = _PREFIX.match(text)
    if "://" in text or is_server(text) or (prefix and prefix[0][:-1].lower() in _sources()):
        raise MalformedError(
            f"the server states {text[:200]!r} as its model, and hwledger contacts nothing else on a server's"
            " word; give the model itself"
        )


def _sources() -> set[str]:
    from hwledger.library.source import installed_sources  # noqa: PLC0415 - the source imports this

    return {source.name for source in installed_sources()} | {"ollama", "lmstudio"}


def _from_path(text: str, slashed: str) -> tuple[str, str]:
    parts = [part for part in slashed.split("/") if part]
    folders, file = (parts[:-1], parts[-1]) if slashed.lower().endswith(_WEIGHTS) else (parts, "")
    repo = "/".join(folders[-2:])
    rooted = len(parts) > 1 and slashed != repo
    if rooted and _names_repo(folders) and (not file or "gguf" in repo.lower()):
        reference = f"hf:{repo}/{file}" if file else repo
        return (
            reference,
            f"{reference} is taken from the path on the server, {text}; give the model itself if wrong",
        )
    if "/" in slashed or file:
        return (
            text,
            f"{text} is on the server's machine; give the model itself where it cannot be read from here",
        )
    return text, f"the server calls its model {text} and does not say where it is from"


def _names_repo(folders: list[str]) -> bool:
    if len(folders) < _LEAST_PARTS:  # /org/name is as likely a mount and a folder
        return False
    org, name = folders[-2:]
    above = folders[-3].lower()
    usual = org.lower() in _FOLDERS or name.lower() in _FOLDERS or above in {"home", "users"}
    return not usual and bool(_REPO.fullmatch(f"{org}/{name}"))
