"""Python that a model's page shows: the one call that loads the model. It is parsed and never run."""

import ast
import re
import warnings
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Final

from hwledger.errors import UsageError
from hwledger.library.commands.draft import Call, Draft
from hwledger.library.commands.programs import hub, llama_cpp, llama_cpp_python, sglang, vllm
from hwledger.library.commands.table import Flag, Item, table
from hwledger.library.deployment import Deployment

_SIGNS: Final = ("from_pretrained(", "pipeline(", "LLM(", "Llama(", "load(", "Engine(", "snapshot_download(")
_ASSIGNED: Final = re.compile(r"^[ ]{0,8}(\w{1,60}) ?= ?r?([\"'])([^\"'\n]{1,300})\2", re.MULTILINE)
_CALL: Final = re.compile(
    r"([\w.]{0,100}(?:from_pretrained|pipeline|LLM|Llama|load|Engine|snapshot_download))\("
)
_MODEL_CLASS: Final = re.compile(
    r"AutoModel\w*|AutoPeft\w*|\w+(?:ForCausalLM|ForConditionalGeneration|LMHeadModel)|\w*LanguageModel|FastModel|FastVisionModel|LLM"
)
_MOST: Final = 50

Arguments = Mapping[str, object]


def is_snippet(text: str) -> bool:
    """Return whether ``text`` looks like Python that loads a model."""
    return any(sign in text for sign in _SIGNS) and bool(_calls(text))


def read(text: str) -> Deployment | None:
    """Return what a Python snippet loads; ``None`` where it is none.

    Raises:
        UsageError: it loads several different models, or one that is given by a variable.
    """
    found: dict[str, Deployment] = {}
    errors: list[UsageError] = []
    for name, arguments in _calls(text):
        reader = _reader(name, text)
        try:
            deployment = reader(name, arguments) if reader else None
        except UsageError as error:
            errors.append(error)
            continue
        if deployment:
            found.setdefault(deployment.model, deployment)
    if len(found) > 1:
        raise UsageError(
            f"the snippet loads several models: {', '.join(m[:80] for m in found)}; paste one of them"
        )
    if errors and not found:
        raise errors[0]
    return next(iter(found.values()), None)


def _calls(text: str) -> list[tuple[str, dict[str, object]]]:
    """The calls in ``text`` that may load a model, with the arguments that are plain values."""
    names = {match[1]: match[3] for match in _ASSIGNED.finditer(text)}
    calls: list[tuple[str, dict[str, object]]] = []
    matches = (match for match in _CALL.finditer(text) if _reader(match[1], text))
    for match in islice(matches, _MOST):
        node = _call(text[match.start(1) :], match.end(1) - match.start(1))
        if node:
            calls.append((match[1], _arguments(node, names)))
    return calls


def _call(text: str, opening: int) -> ast.Call | None:
    """Parse the call that ``text`` begins with."""
    end = _closing(text, opening)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # strange escapes are the page's business
            tree = ast.parse(text[:end], mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return tree if isinstance(tree, ast.Call) else None


def _closing(text: str, opening: int) -> int:
    depth, quote, at = 0, "", opening
    limit = min(len(text), opening + 3000)
    while at < limit:
        char = text[at]
        if quote:
            at += char == "\\"
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if not depth:
                return at + 1
        at += 1
    return limit


def _arguments(call: ast.Call, names: Mapping[str, str]) -> dict[str, object]:
    values: dict[str, object] = {str(at): _value(node, names) for at, node in enumerate(call.args)}
    return values | {word.arg: _value(word.value, names) for word in call.keywords if word.arg}


def _value(node: ast.expr, names: Mapping[str, str]) -> object:
    """The plain value of an argument; ``None`` where it is anything else."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "torch":
        return node.attr
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def _reader(name: str, text: str) -> Callable[[str, Arguments], Deployment] | None:
    owner, _, last = name.rpartition(".")
    if last == "from_pretrained":
        owner = owner.rpartition(".")[2]
        if owner == "Llama":
            return _llama
        return _transformers if _MODEL_CLASS.fullmatch(owner) else None
    if last == "load":
        return _mlx if "mlx" in text else None
    if last == "Engine":
        return _sglang if "sglang" in text or owner == "sgl" else None
    return {"pipeline": _pipeline, "LLM": _vllm, "Llama": _llama, "snapshot_download": _download}.get(last)


def _text(arguments: Arguments, *names: str) -> str:
    return next((str(arguments[name]) for name in names if isinstance(arguments.get(name), str)), "")


def _draft(name: str, engine: str | None, arguments: Arguments, *models: str) -> Draft:
    draft = Draft(Call(program=name[:100], words=()), engine, vllm.number if engine == "vllm" else _int)
    draft.model = _text(arguments, *models)
    draft.revision = _text(arguments, "revision") or None
    return draft


def _int(text: str) -> int | None:
    return int(text) if len(text) < 20 and text.removeprefix("-").isdigit() and text.isascii() else None  # noqa: PLR2004


def _transformers(name: str, arguments: Arguments) -> Deployment:
    draft = _draft(
        name, "transformers", arguments, "0", "pretrained_model_name_or_path", "model_name", "model_id"
    )
    _settings(draft, arguments)
    return draft.deployment()


def _pipeline(name: str, arguments: Arguments) -> Deployment:
    draft = _draft(name, "transformers", arguments, "model", "1")
    _settings(draft, arguments)
    return draft.deployment()


def _settings(draft: Draft, arguments: Arguments) -> None:
    for key, value in arguments.items():
        option = {"torch_dtype": "dtype"}.get(key, key)
        if option in draft.known and value is not None and not (option == "dtype" and value == "auto"):
            draft.option(option, str(value), f"{key}={value}")
        elif key in {"load_in_4bit", "load_in_8bit"} and value is True:
            draft.values["weights"] = "nf4" if key == "load_in_4bit" else "int8"
        elif key in {"quantization_config", "gguf_file", "max_memory", "max_seq_length"}:
            draft.note(f"{key} can change the memory and is not planned")


def _vllm(name: str, arguments: Arguments) -> Deployment:
    draft = _draft(name, "vllm", arguments, "model", "0")
    _flags(draft, "vllm", arguments, vllm.enter)
    vllm.settle(draft)
    return draft.deployment()


def _sglang(name: str, arguments: Arguments) -> Deployment:
    draft = _draft(name, "vllm", arguments, "model_path", "0")
    draft.note("SGLang has no profile of its own yet: it is planned by the rules of vLLM")
    _flags(draft, "sglang", arguments, sglang.enter)
    vllm.settle(draft)
    return draft.deployment()


def _flags(draft: Draft, program: str, arguments: Arguments, enter: Callable[[Draft, Item], None]) -> None:
    """Enter keyword arguments as the flags of the same names."""
    flags = table(program)
    for key, value in arguments.items():
        if key.isdigit() or value is None:
            continue
        flag = flags.find(f"--{key}")
        if flag is None or flag.option != "model":
            enter(draft, _item(key, flag, value))


def _item(key: str, flag: Flag | None, value: object) -> Item:
    if isinstance(value, bool) and flag and flag.takes == "none":
        return Item(f"{key}={value}", flag, off=not value)
    text = _json(value) if isinstance(value, dict) else str(value)
    return Item(f"{key}={value}", flag, text)


def _json(value: object) -> str:
    import json  # noqa: PLC0415 - start-up time

    return json.dumps(value, default=str)


def _llama(name: str, arguments: Arguments) -> Deployment:
    draft = _draft(name, "llama.cpp", arguments, "model_path")
    if repo := _text(arguments, "repo_id", "0"):
        file = _text(arguments, "filename", "1")
        draft.model = hub.choose(repo, [file]) if file else llama_cpp.hub_model(draft, repo, None)
    for key, value in arguments.items():
        flag = table("llama_cpp_python").find(f"--{key}")
        if flag and flag.option != "model" and value is not None:
            text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            llama_cpp_python.enter(draft, Item(f"{key}={value}", flag, text))
    llama_cpp_python.settle(draft)
    return draft.deployment()


def _mlx(name: str, arguments: Arguments) -> Deployment:
    return _draft(name, "mlx", arguments, "0", "path_or_hf_repo").deployment()


def _download(name: str, arguments: Arguments) -> Deployment:
    return _draft(name, None, arguments, "repo_id", "0").deployment()
