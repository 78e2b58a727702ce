"""From the words of a command to the program in it: variables, wrappers and containers peeled off."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from hwledger.library.commands.draft import Call
from hwledger.library.commands.shell import expand, split
from hwledger.library.commands.table import table
from hwledger.shipped import shipped_text

_ASSIGNED: Final = re.compile(r"([A-Za-z_]\w{0,60})=(.{0,1000})", re.DOTALL)
_PYTHON: Final = re.compile(r"(?:python|pypy|py)(?:\d(?:\.\d{1,2})?)?")
_OLD_NAMES: Final = frozenset({"main", "server"})
"""Names of llama.cpp's programs before June 2024 (pull request 7809)."""

_SHARING: Final = {"mlx.launch": "mlx.launch shares a model among hosts: it is planned as on one"}

_MODEL_FLAGS: Final = frozenset({"-m", "--model", "-hf", "-hfr", "--hf-repo", "-mu", "--model-url"})
_VERSION: Final = re.compile(r"v(\d{1,3}\.\d{1,3}(?:\.\d{1,3})?)(?:[-.+]\w.{0,40})?")
_BUILD: Final = re.compile(r"[a-z0-9.]{1,20}(?:-[a-z0-9.]{1,20})?-(b\d{4,6})")
_CALLING: Final = re.compile(r"[A-Za-z_][\w.]{0,60}\(")
_WHOLE: Final = re.compile(r"\$\{?(\w{1,60})(?:\[[@*]\])?\}?")
_REMOTE: Final = frozenset({"tmux", "screen", "ssh", "wsl", "su", "watch"})
"""Wrappers that are given a command as one word."""

_NONE: Final = re.compile(r"(?!)")
_CONTAINERS: Final = frozenset({"docker", "podman", "nvidia-docker", "nerdctl"})
_WRAPPERS: Final = frozenset({
    "sudo", "nohup", "time", "exec", "command", "env", "uv", "uvx", "pixi", "conda", "mamba",
    "micromamba", "poetry", "pipx", "nice", "numactl", "taskset", "stdbuf", "srun", "screen", "tmux",
    "setsid", "timeout", "winpty", "start", "caffeinate", "mpirun", "ray", "proxychains4",
    "proxychains", "rye", "hatch", "doas", "apptainer", "singularity", "kubectl", "torchrun", "accelerate",
    "mlx.launch", "parallel", "ssh", "wsl", "su", "watch", "xargs", "then", "do", "cargo",
    "trtllm-llmapi-launch",
})  # fmt: skip
_SHELLS: Final = frozenset({"bash", "sh", "zsh", "dash"})
_SAYING: Final = frozenset({"echo", "printf", "grep", "pgrep", "pkill", "git"})
"""Programs to which a command in quotes is a text."""
_INSTALLERS: Final = frozenset(
    {"install", "pip", "pip3", "apt", "apt-get", "brew", "npm", "dnf", "yum", "add", "sync"}
)
_FAR: Final = 40


@dataclass(frozen=True, slots=True)
class Program:
    """A program that is known, and what it was called with.

    Attributes:
        reader: name of its reader.
        runs: it runs the model; otherwise it fetches it.
        call: the words after it.
    """

    reader: str
    runs: bool
    call: Call


@cache
def _programs() -> Mapping[tuple[str, str], tuple[str, bool]]:
    text = shipped_text("hwledger.library.commands", "data/programs.csv")
    rows = csv.DictReader(text.splitlines())
    return {(row["kind"], row["words"]): (row["reader"], row["runs"] == "yes") for row in rows}


def find(words: Sequence[str], env: Mapping[str, str], depth: int = 0) -> Program | None:
    """Return the program that ``words`` run, with ``env`` and the variables set before it."""
    told = dict(env)
    rest = list(words)
    while rest and (assigned := _ASSIGNED.fullmatch(rest[0])):
        told[assigned[1]] = assigned[2]
        rest.pop(0)
    if not rest:
        return None
    first = _base(rest[0])
    if first in _CONTAINERS and (found := _direct(rest, told) or _in_container(rest, told)):
        return found
    if first in _SHELLS and depth < 2:  # noqa: PLR2004 - a shell in a shell
        return _in_shell(rest, told, depth) or _direct(rest[1:], told)
    if first in _WRAPPERS or first in _CONTAINERS:
        return _wrapped(rest, told, depth)
    return _direct(rest, told) or _handed_on(rest, told, depth)


def _handed_on(words: Sequence[str], env: Mapping[str, str], depth: int) -> Program | None:
    """A command that another program, or a call in a script, is given as one quoted word."""
    if _base(words[0]) in _SAYING:
        return None
    for word in words[:_FAR]:
        text = _CALLING.sub("", word, count=1).strip(" ,;)")
        if " " in text and (found := _text(text, env, depth)):
            return found
    return None


def assignments(words: Sequence[str]) -> dict[str, str]:
    """Return the variables that a line sets for the lines after it; empty where it runs something."""
    names = words[1:] if words and words[0] in {"export", "set", "setx"} else words
    found = [_ASSIGNED.fullmatch(word) for word in names]
    return {match[1]: match[2] for match in found if match} if all(found) else {}


def _direct(words: Sequence[str], env: Mapping[str, str]) -> Program | None:
    if not words:
        return None
    first = _base(words[0])
    if _PYTHON.fullmatch(first):
        return _module(words, env) or _script(words, env)
    if first.endswith(".llamafile"):
        return _program(("llamafile", True), words[0][-100:], words[1:], env)
    if first in _OLD_NAMES and first != words[0].lower() and _MODEL_FLAGS.intersection(words[:_FAR]):
        return _program(("llama_old", True), words[0][-100:], words[1:], env)
    for count in (3, 2, 1):
        name = " ".join([first, *words[1:count]])
        found = _programs().get(("command", name)) if len(words) >= count else None
        if found:
            return _program(found, name, words[count:], env)
    return None


def _program(found: tuple[str, bool], name: str, words: Sequence[str], env: Mapping[str, str]) -> Program:
    known = dict(env)
    told = (spread for word in words for spread in _spread(word, known))
    return Program(*found, Call(program=name, words=tuple(told), env=known))


def _spread(word: str, known: dict[str, str]) -> list[str]:
    """A word with its variables in place; a variable that holds flags becomes several words."""
    if (
        (named := _WHOLE.fullmatch(word))
        and (value := known.get(named[1], "")).startswith("-")
        and " " in value
    ):
        return [inner for command in split(value) for inner in command.words]
    return [expand(word, known)]


def _module(words: Sequence[str], env: Mapping[str, str]) -> Program | None:
    try:
        at = words.index("-m", 1, 8) + 1
    except ValueError:
        return None
    for count in (2, 1):
        name = " ".join(words[at : at + count])
        if found := _programs().get(("module", name)):
            return _program(found, f"python -m {name}", words[at + count :], env)
    return None


def _script(words: Sequence[str], env: Mapping[str, str]) -> Program | None:
    """``python path/to/benchmark_throughput.py``: the first word that is no flag names a script."""
    at = next((at for at in range(1, min(len(words), 8)) if not words[at].startswith("-")), 0)
    path = "/" + words[at].replace("\\", "/").lower()
    if at and not path.endswith(".py") and path.count("/") > 1:
        return _direct(words[at:], env)
    if not at or not path.endswith(".py"):
        return None
    for (kind, name), found in _programs().items():
        if kind == "script" and path.endswith("/" + name):
            return _program(found, f"python {name}", words[at + 1 :], env)
    return _direct(words[at:], env)


def _base(word: str) -> str:
    return word.replace("\\", "/").rpartition("/")[2].lower().removesuffix(".exe").removesuffix(".py")


def _wrapped(words: Sequence[str], env: Mapping[str, str], depth: int) -> Program | None:
    """Look on for a program behind the flags of a wrapper."""
    told = dict(env)
    for at in range(1, min(len(words), _FAR)):
        if words[at] in _INSTALLERS:
            return None
        remote = _base(words[0]) in _REMOTE and " " in words[at]
        if (assigned := _ASSIGNED.fullmatch(words[at])) and not remote:
            told[assigned[1]] = assigned[2]
            continue
        base = _base(words[at])
        if base in _CONTAINERS or base in _SHELLS:
            found = find(words[at:], told, depth + 1) if depth < 4 else None  # noqa: PLR2004 - wrappers of wrappers
        elif remote:
            found = _text(words[at], told, depth)
        else:
            found = _direct(words[at:], told)
        if found:
            return _noted(found, words[:at])
        if base in _CONTAINERS or base in _SHELLS:
            return None
    return None


def _noted(program: Program, wrapper: Sequence[str]) -> Program:
    """Return a program with what its wrapper adds: folders of a container, or a word on sharing."""
    name = _base(wrapper[0])
    if name in _CONTAINERS:
        return _mounted(program, wrapper[1:])
    notes = (*program.call.notes, *((_SHARING[name],) if name in _SHARING else ()))
    return replace(program, call=replace(program.call, notes=notes))


def _mounted(program: Program, flags: Sequence[str]) -> Program:
    """Return a program in a container of an unknown image, with the container's variables and folders."""
    told, mounts, _ = _container(flags, program.call.env)
    return replace(program, call=replace(program.call, env=told, mounts={**mounts, **program.call.mounts}))


def _in_shell(words: Sequence[str], env: Mapping[str, str], depth: int) -> Program | None:
    """``bash -c "..."``: the first program of the text."""
    script = next(
        (words[at + 1] for at in range(1, len(words) - 1) if words[at] in {"-c", "-lc", "-ic", "-cl"}), ""
    )
    return _text(script, env, depth)


def _text(script: str, env: Mapping[str, str], depth: int) -> Program | None:
    """The first program of a text that a shell within the command is given."""
    if depth > 3:  # noqa: PLR2004 - shells in shells
        return None
    told = dict(env)
    for command in split(script):
        told |= assignments(command.words)
        if found := find(command.words, told, depth + 1):
            return found
    return None


def _in_container(words: Sequence[str], env: Mapping[str, str]) -> Program | None:
    """``docker run [flags] IMAGE [words]``, for the images that are known."""
    for at in range(2, len(words)):
        name, tag = _image(words[at])
        if found := _of_image(name):
            break
    else:
        return None
    told, mounts, entrypoint = _container(words[1:at], env)
    rest = [*entrypoint, *words[at + 1 :]]
    if found[0] == "llama_server" and (tag.startswith("light") or rest[:1] in (["--run"], ["-r"])):
        found = ("llama_cli", found[1])
    inner = find(rest, told) if rest else None
    program = inner or _program(found, f"docker run {name}", rest, told)
    version = {"vllm": _VERSION, "llama_server": _BUILD}.get(found[0], _NONE).fullmatch(tag)
    call = replace(program.call, mounts=mounts, version=version[1] if version else None)
    return replace(program, call=call)


def _of_image(name: str) -> tuple[str, bool] | None:
    """The program of an image; a mirror keeps the last two parts of its name."""
    own = "/".join(name.split("/")[-2:])
    return _programs().get(("image", name)) or _programs().get(("image", own))


def _image(word: str) -> tuple[str, str]:
    """Name and tag of an image; the host that it comes from is left out."""
    host, slash, path = word.partition("@")[0].partition("/")
    if not slash or "." not in host:
        path = host + slash + path
    name, _, tag = path.partition(":")
    return name.lower(), tag


def _container(
    words: Sequence[str], env: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Variables, folders and entry point that the flags of a container give."""
    told, mounts, entrypoint = dict(env), dict[str, str](), list[str]()
    for item in table("docker").read(words).items:
        name = item.flag.option if item.flag else ""
        if name == "env" and (assigned := _ASSIGNED.fullmatch(item.value)):
            told[assigned[1]] = assigned[2]
        elif name == "volume":
            outside, _, inside = item.value.removesuffix(":ro").removesuffix(":z").rpartition(":")
            mounts[inside] = outside
        elif name == "mount":
            parts = dict(part.partition("=")[::2] for part in item.value.split(","))
            mounts[parts.get("target", parts.get("dst", ""))] = parts.get("source", parts.get("src", ""))
        elif name == "entrypoint":
            entrypoint = item.value.split()
    return told, {inside: outside for inside, outside in mounts.items() if inside and outside}, entrypoint
