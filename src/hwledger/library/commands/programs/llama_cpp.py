"""The programs of llama.cpp that share one table of flags."""

from typing import Final

from hwledger.errors import UsageError
from hwledger.library.commands.draft import Call, Draft, whole
from hwledger.library.commands.programs.placed import hosted_layers
from hwledger.library.commands.table import Item, table
from hwledger.library.deployment import Deployment
from hwledger.library.llama_cpp_defaults import llama_cpp_default

_LOADED: Final = {"mmap": "on", "mmap+mlock": "on", "none": "off", "mlock": "off", "dio": "off"}
_ENV: Final = "LLAMA_ARG_"
_ENV_FLAGS: Final = {
    "N_PARALLEL": "--parallel",
    "UBATCH": "--ubatch-size",
    "BATCH": "--batch-size",
    "HF_REPO": "-hf",
    "ENDPOINT_METRICS": "--metrics",
    "ENDPOINT_SLOTS": "--slots",
    "ENDPOINT_PROPS": "--props",
}
ANY_QUANT: Final = "latest"


def read_server(call: Call) -> Deployment:
    """Return what ``llama-server`` runs.

    Without ``-np`` it takes 4 slots that share the context (llama.cpp ``tools/server/server.cpp``).

    Raises:
        UsageError: it names no model.
    """
    draft = read_flags(call)
    slots = _default(call, "server", "n_parallel")
    if "n_parallel" not in draft.options:
        draft.options["n_parallel"] = slots
        if slots != "1":
            draft.options.setdefault("kv_unified", "on")
            draft.note(
                "without -np llama-server takes 4 slots that share the context (builds since late 2025)"
            )
    return draft.deployment()


def read_tool(call: Call) -> Deployment:
    """Return what ``llama-cli`` and its like run: one sequence unless they are told more.

    Raises:
        UsageError: it names no model.
    """
    draft = read_flags(call)
    draft.options.setdefault("n_parallel", "1")
    return draft.deployment()


def read_old(call: Call) -> Deployment:
    """Return what ``main`` and ``server`` ran before June 2024: 512 tokens, nothing on a device untold.

    Source: llama.cpp b3000 ``common/common.h``.

    Raises:
        UsageError: it names no model.
    """
    draft = read_flags(call, old=True)
    for name, value in (("n_ctx", "512"), ("n_parallel", "1"), ("n_gpu_layers", "0")):
        draft.options.setdefault(name, value)
    draft.note(f"{call.program} is llama.cpp's name of before June 2024: its defaults then, today's rules")
    return draft.deployment()


def _default(call: Call, program: str, option: str) -> str:
    """What a build takes where it is told nothing; the newest where no build is known."""
    build = whole(call.version.removeprefix("b")) if call.version else None
    return llama_cpp_default(program, option, build)


def read_flags(call: Call, *, old: bool = False) -> Draft:
    """Return what the flags of llama.cpp say, before a program's own defaults."""
    draft = Draft(call, "llama.cpp")
    parsed = table("llama_cpp").read([*_from_env(call), *call.words])
    for item in parsed.items:
        enter(draft, item)
    settle_model(draft, parsed.loose)
    settle_experts(draft)
    if not old:
        _settle_context(draft)
    return draft


def _settle_context(draft: Draft) -> None:
    """Enter the context of a build where it is told none, or of a model whose length is overridden."""
    options, program = draft.options, draft.call.program
    if length := draft.values.get("trained", ""):
        if options.get("n_ctx", "0") == "0":
            options["n_ctx"] = length
        return
    if "n_ctx" in options:
        return
    stated = _default(draft.call, "server", "n_ctx")
    if stated:
        options["n_ctx"] = stated
        draft.note(f"{program} is told no context (-c): this build takes {int(stated):,} tokens")
        return
    options["n_ctx"] = "0"  # the trained context, which all slots together have
    fits = "" if draft.values.get("fit") == "off" else ", or less where that does not fit (--fit)"
    draft.note(f"{program} is told no context (-c): it takes what the model was trained with{fits}")


def settle_experts(draft: Draft) -> None:
    """Enter which experts the patterns of ``--override-tensor`` leave in host memory, taken together."""
    texts = [value for key, value in draft.values.items() if key.startswith("override_tensor ")]
    if not texts:
        return
    layers = hosted_layers(texts)
    if layers == -1:
        draft.option("cpu_moe", "on", "-ot")
    elif layers:
        draft.option("n_cpu_moe", str(layers), "-ot")
    else:
        for text in texts:
            draft.note(f"-ot {text[:80]} places tensors in a way that is not planned")


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
    elif name == "override_tensor" and item.value:
        draft.values[f"{name} {len(draft.values)}"] = item.value
    elif name == "override_kv":
        _override(draft, item)
    elif name == "devices":
        if item.value.lower() == "none":
            draft.options["n_gpu_layers"] = "0"
        else:
            draft.note(f"{item.said[:80]} says which devices are used; name them with --device")
    elif name == "fit":
        draft.values["fit"] = item.value.lower()
    elif name == "preset":
        draft.values["preset"] = item.said
        draft.note(
            f"{item.said} stands for a model and settings that are not planned; name the model with -hf"
        )
    else:
        draft.take(item)


def _override(draft: Draft, item: Item) -> None:
    """Enter what ``--override-kv KEY=TYPE:VALUE`` changes: the trained context counts, tokens do not."""
    for part in item.value.split(","):
        key, _, value = part.partition("=")
        length = whole(value.rpartition(":")[2])
        if key.endswith(".context_length") and length and length > 0:
            draft.values["trained"] = str(length)
        elif not key.startswith(("tokenizer.", "general.")) and not key.endswith(".expert_used_count"):
            draft.note(f"--override-kv {part[:80]} can change the memory and is not planned")


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
    if not draft.model and (preset := values.get("preset")):
        raise UsageError(
            f"{preset[:80]} stands for a model and settings; name the model with -hf in its place"
        )


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
