"""A model that a text fetches first and runs then: a file or folder that need not be on this machine."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

from hwledger.errors import UsageError
from hwledger.library.commands.launch import Program
from hwledger.library.commands.programs import READERS
from hwledger.library.deployment import Deployment

_FOLDERS: Final = frozenset({"--local-dir", "--local_dir", "-P", "--directory-prefix", "-d", "--dir"})
_NAMES: Final = frozenset({"-o", "-O", "--output", "--output-document", "--out"})


def from_where(found: Deployment, fetching: Sequence[Program]) -> Deployment:
    """Return ``found`` with the place that its model is fetched from, where it is no path of this machine."""
    path = _plain(found.model)
    if not fetching or ":" in path.partition("/")[0] or _here(found.model):
        return found
    for program in fetching:
        try:
            fetched = READERS[program.reader](program.call)
        except UsageError:
            continue
        if model := next(_places(path, fetched, program), None):
            note = f"{found.model[:80]} is what {fetched.program} fetches: it is read from {model[:120]}"
            revision = found.revision or fetched.revision
            return replace(found, model=model, revision=revision, notes=(*found.notes, note))
    return found


def _here(model: str) -> bool:
    try:
        return Path(model).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False


def _plain(path: str) -> str:
    text = path.replace("\\", "/")
    return str(PurePosixPath(text)) if text else ""


def _places(path: str, fetched: Deployment, program: Program) -> Iterator[str]:
    """References of ``path`` within what is fetched."""
    folder, name = _told(program, _FOLDERS), _told(program, _NAMES)
    repo = _repo(fetched.model)
    if fetched.model.lower().endswith(".gguf"):
        file = fetched.model.rpartition("/")[2]
        if path.rpartition("/")[2] == (_plain(name).rpartition("/")[2] if name else file):
            yield fetched.model
    elif repo and program.reader == "git":
        yield from _within(path, _cloned(program, repo), repo)
    elif repo and folder:
        yield from _within(path, _plain(folder), repo)


def _within(path: str, folder: str, repo: str) -> Iterator[str]:
    """The repository itself, or a GGUF file of it, where ``path`` is the folder or leads into it."""
    if path == folder:
        yield repo
    inside = (
        path if folder == "." else path.removeprefix(folder + "/") if path.startswith(folder + "/") else ""
    )
    if inside.lower().endswith(".gguf") and not inside.startswith(("/", "~", "..")):
        yield f"hf:{repo}/{inside}"


def _repo(model: str) -> str:
    name = model.removeprefix("hf:").partition(":")[0]
    return name if name.count("/") == 1 else ""


def _cloned(program: Program, repo: str) -> str:
    last = program.call.words[-1] if program.call.words else ""
    return repo.rpartition("/")[2] if repo in last else _plain(last)


def _told(program: Program, flags: frozenset[str]) -> str:
    """The value of a flag, with a space or an equals sign after it."""
    words = program.call.words
    for at, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in flags and equals:
            return value
        if word in flags and at + 1 < len(words) and not words[at + 1].startswith("-"):
            return words[at + 1]
    return ""
