"""The programs of llama.cpp that share one table of flags."""

from typing import Final

from hwledger.errors import UsageError
from hwledger.library.commands.draft import Call, Draft
from hwledger.library.commands.table import Item, table
from hwledger.library.deployment import Deployment

_ALL_EXPERTS: Final = frozenset(
    {
        "exps=CPU", ".exps=CPU", "_exps=CPU", "\\.exps=CPU", "exps\\.=CPU", ".ffn_.*_exps.=CPU",
        "ffn_.*_exps=CPU",
        "\\.ffn_.*_exps\\.=CPU", ".ffn_.*_exps=CPU", "ffn_.*_exps.=CPU", "ffn_.*_exps\\.=CPU",
        ".ffn_(up|down|gate)_exps.=CPU", ".ffn_(gate|up|down)_exps.=CPU",
        ".*ffn_.*_exps.*=CPU", ".ffn_.*_exps.*=CPU",
        "([0-9]+).ffn_.*_exps.=CPU", ".*_exps.*=CPU", "_exps.=CPU",
    }
)  # fmt: skip
_LOADED: Final = {"mmap": "on", "mmap+mlock": "on", "none": "off", "mlock": "off", "dio": "off"}
_ENV: Final = "LLAMA_ARG_"
_ENV_FLAGS: Final = {
    "N_PARALLEL": "--parallel",
    "UBATCH": "--ubatch-size",
    "BATCH": "--batch-size",
    "HF_REPO": "-hf",
}
ANY_QUANT: Final = "latest"


def read_server(call: Call) -> Deployment:
    """Return what ``llama-server`` runs.

    Without ``-np`` it takes 4 slots that share the context (llama.cpp ``tools/server/server.cpp``).

    Raises:
        UsageError: it names no model.
    """
    draft = read_flags(call)
    if "n_parallel" not in draft.options:
        draft.options["n_parallel"] = "4"
        draft.options.setdefault("kv_unified", "on")
        draft.note("without -np llama-server takes 4 slots that share the context (builds since late 2025)")
    return draft.deployment()


def read_tool(call: Call) -> Deployment:
    """Return what ``llama-cli`` and its like run: one sequence unless they are told more.

    Raises:
        UsageError: it names no model.
    """
    draft = read_flags(call)
    draft.options.setdefault("n_parallel", "1")
    return draft.deployment()


def read_flags(call: Call) -> Draft:
    """Return what the flags of llama.cpp say, before a program's own defaults."""
    draft = Draft(call, "llama.cpp")
    parsed = table("llama_cpp").read([*_from_env(call), *call.words])
    for item in parsed.items:
        enter(draft, item)
    settle_model(draft, parsed.loose)
    if "n_ctx" not in draft.options:
        draft.whole_context = True
        draft.note(f"{call.program} is told no context (-c): it takes what the model was trained with")
    return draft


def _from_env(call: Call) -> list[str]:
    words: list[str] = []
    for name, value in call.env.items():
        if name.startswith(_ENV):
            rest = name.removeprefix(_ENV)
            words.append(f"{_ENV_FLAGS.get(rest, '--' + rest.lower().replace('_', '-'))}={value}")
    return words


def enter(draft: Draft, item: Item) -> None:
    """Enter one flag of llama.cpp."""
    name = item.flag.option if item.flag else ""
    if name == "load_mode":
        if item.value in _LOADED:
            draft.option("mmap", _LOADED[item.value], item.said)
    elif name == "n_parallel" and item.value.startswith("-"):
        return
    elif item.flag and item.flag.name == "--override-tensor" and item.value in _ALL_EXPERTS:
        draft.option("cpu_moe", "on", item.said)
    elif name == "preset":
        draft.note(
            f"{item.said} stands for a model and settings that are not planned; name the model with -hf"
        )
    else:
        draft.take(item)


def settle_model(draft: Draft, loose: list[str]) -> None:
    """Make one reference of the flags that can name a model.

    Raises:
        UsageError: the model is in a place that hwledger does not read.
    """
    values = draft.values
    if repo := values.get("hf_repo"):
        draft.model = hub_model(draft, repo, values.get("hf_file"))
    elif url := values.get("model_url"):
        draft.model = url
    elif image := values.get("docker_repo"):
        raise UsageError(
            f"{image[:80]} is an image of a container registry; name the model or its file in its place"
        )
    elif not draft.model and loose:
        draft.model = _positional(draft, loose.pop(0))
    elif draft.model:
        draft.left_over(loose)


def _positional(draft: Draft, word: str) -> str:
    """The model of ``llama-run``: a path, or a name with the place it is in."""
    scheme, sign, rest = word.partition("://")
    if sign and scheme in {"hf", "huggingface"}:
        return f"hf:{rest}"
    if sign and scheme == "ollama":
        return f"ollama:{rest}"
    if sign or word.endswith(".gguf") or word[:1] in {"/", ".", "~"}:
        return word.removeprefix("file://")
    draft.note(f"{word[:80]} is a name of Ollama's library, where llama-run looks it up")
    return f"ollama:{word}"


def hub_model(draft: Draft, repo: str, file: str | None) -> str:
    """Return the reference of a repository of the hub as llama.cpp chooses its file.

    llama.cpp ``common/download.cpp``: without a tag Q4_K_M first, then Q8_0, then the first file. A tag may
    be a file's whole name, as on Ollama's side of the hub.
    """
    name, _, quant = repo.removeprefix("hf://").partition(":")
    if file:
        return f"hf:{name}/{file}"
    if quant.lower().endswith(".gguf"):
        return f"hf:{name}/{quant}"
    if quant and quant.lower() != ANY_QUANT:
        return f"hf:{name}:{quant}"
    draft.note(
        f"{name[:80]} is given without a quantisation: Q4_K_M is taken, else Q8_0, else its first file,"
        " as the program does"
    )
    return f"hf:{name}:{ANY_QUANT}"
