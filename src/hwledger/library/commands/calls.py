"""What the calls of a Python snippet load, one function per library."""

import json
from collections.abc import Callable, Mapping
from typing import Final

from hwledger.library.commands.draft import Call, Draft, whole
from hwledger.library.commands.programs import hub, llama_cpp, llama_cpp_python, ollama, others, sglang, vllm
from hwledger.library.commands.programs import mistralrs as mistral
from hwledger.library.commands.table import Flag, Item, table
from hwledger.library.commands.values import Arguments, Called, Unknown
from hwledger.library.deployment import Deployment

_MODEL_NAMES: Final = ("pretrained_model_name_or_path", "model_name", "model_id", "model_name_or_path")
_SAID: Final = frozenset(
    {"quantization_config", "max_memory", "tp_plan", "offload_folder", "load_in_fp8", "max_loras"}
)
_FOUR_BITS: Final = "nf4"
_WITHOUT_PROFILE: Final = {"sglang": "SGLang", "trtllm": "TensorRT-LLM", "lmdeploy": "LMDeploy"}


def _text(given: Arguments, *names: str) -> str:
    return next((str(given[name]) for name in names if isinstance(given.get(name), str)), "")


def _draft(name: str, engine: str | None, given: Arguments, *models: str) -> Draft:
    draft = Draft(Call(program=name[:100], words=()), engine, vllm.number if engine == "vllm" else whole)
    draft.model = _text(given, *models)
    draft.revision = _text(given, "revision") or None
    for key, value in given.items():
        if isinstance(value, Unknown) and key not in models:
            draft.note(
                f"{key[:60]} is given by {value.text[:60]!r}, which the text does not show: not planned"
            )
            draft.unread.add(key)
    return draft


def _plain(given: Arguments) -> dict[str, object]:
    """Named arguments whose values are known."""
    kept = {key: value for key, value in given.items() if not key.isdigit() and value is not None}
    return {key: value for key, value in kept.items() if not isinstance(value, Unknown)}


def transformers(name: str, given: Arguments) -> Deployment:
    """``AutoModelForCausalLM.from_pretrained`` and its kin."""
    draft = _draft(name, "transformers", given, "0", *_MODEL_NAMES)
    _settings(draft, given)
    return draft.deployment()


def pipeline(name: str, given: Arguments) -> Deployment:
    """``pipeline("text-generation", model=...)``."""
    draft = _draft(name, "transformers", given, "model", "1")
    _settings(draft, given)
    return draft.deployment()


def _settings(draft: Draft, given: Arguments) -> None:
    for key, value in _plain(given).items():
        option = {"torch_dtype": "dtype"}.get(key, key)
        if key == "model_kwargs" and isinstance(value, Mapping):
            _settings(draft, {str(name): inner for name, inner in value.items()})
        elif option == "device_map":
            _placed(draft, value)
        elif option in draft.known:
            if not (option == "dtype" and value == "auto"):
                draft.option(option, str(value), f"{key}={value}")
        else:
            _loading(draft, key, value)


def _loading(draft: Draft, key: str, value: object) -> None:
    """Enter how the weights are loaded, where that is no option of the profile."""
    if key in {"load_in_4bit", "load_in_8bit"} and value is True:
        draft.values["weights"] = _FOUR_BITS if key == "load_in_4bit" else "int8"
    elif key == "quantization_config":
        _packed(draft, value)
    elif key == "max_seq_length" and isinstance(value, int) and value > 0:
        draft.values["context"] = str(value)
    elif key == "gguf_file":
        draft.model = f"hf:{draft.model}/{value}"
        draft.note("transformers unpacks a GGUF file to its dtype: the file's own sizes are planned")
    elif key in _SAID:
        draft.note(f"{key} can change the memory and is not planned")


def _placed(draft: Draft, value: object) -> None:
    """``"cuda:0"`` and ``{"": 0}`` put the whole model on one device."""
    if isinstance(value, Mapping) and list(value) == [""]:
        value = value[""]
    text = "cuda" if isinstance(value, int) else str(value)
    draft.option(
        "device_map", text.partition(":")[0] if text.startswith("cuda") else text, f"device_map={text}"
    )


def _packed(draft: Draft, value: object) -> None:
    """``BitsAndBytesConfig(load_in_4bit=True)`` packs while loading; other configs are said."""
    given = value.arguments if isinstance(value, Called) else value if isinstance(value, Mapping) else {}
    if given.get("load_in_4bit") is True:
        draft.values["weights"] = _FOUR_BITS
        if given.get("bnb_4bit_use_double_quant") is True:
            draft.note("bnb_4bit_use_double_quant packs the scales as well: planned without")
    elif given.get("load_in_8bit") is True:
        draft.values["weights"] = "int8"
    else:
        draft.note("quantization_config can change the memory and is not planned")


def ctransformers(name: str, given: Arguments) -> Deployment:
    """``AutoModelForCausalLM.from_pretrained`` of ctransformers: GGUF files, no layer on a device untold."""
    draft = _draft(name, "llama.cpp", given, "0", "model_path_or_repo_id")
    if file := _text(given, "model_file"):
        draft.model = (
            hub.choose(draft.model, [file]) if draft.model.count("/") == 1 else f"{draft.model}/{file}"
        )
    plain = _plain(given)
    draft.option("n_gpu_layers", str(plain.get("gpu_layers", 0)), "gpu_layers")
    if length := plain.get("context_length"):
        draft.option("n_ctx", str(length), "context_length")
    else:
        draft.note("ctransformers is told no context_length: give --context to plan its own")
    draft.options.setdefault("n_parallel", "1")
    return draft.deployment()


def vllm_engine(name: str, given: Arguments) -> Deployment:
    """``LLM(...)``, ``EngineArgs(...)`` and LangChain's ``VLLM(...)``."""
    inner = given.get("vllm_kwargs")
    given = (
        {**given, **{str(key): value for key, value in inner.items()}}
        if isinstance(inner, Mapping)
        else given
    )
    given = {key: value for key, value in given.items() if key != "vllm_kwargs"}
    return _by_vllm(_draft(name, "vllm", given, "model", "0"), "vllm", given, vllm.enter)


def sglang_engine(name: str, given: Arguments) -> Deployment:
    """``sgl.Engine(...)``."""
    return _by_vllm(_draft(name, "vllm", given, "model_path", "0"), "sglang", given, sglang.enter)


def trtllm(name: str, given: Arguments) -> Deployment:
    """``LLM(...)`` of TensorRT-LLM."""
    return _by_vllm(_draft(name, "vllm", given, "model", "0"), "trtllm", given, others.enter)


def lmdeploy(name: str, given: Arguments) -> Deployment:
    """``pipeline("org/name", backend_config=TurbomindEngineConfig(tp=2))``."""
    config = given.get("backend_config")
    settings = config.arguments if isinstance(config, Called) else {}
    return _by_vllm(_draft(name, "vllm", given, "model_path", "0"), "lmdeploy", settings, others.enter)


def _by_vllm(
    draft: Draft, program: str, given: Arguments, enter: Callable[[Draft, Item], None]
) -> Deployment:
    """Return what vLLM, or a program that is planned by its rules, is given."""
    if called := _WITHOUT_PROFILE.get(program):
        draft.note(f"{called} has no profile of its own yet: it is planned by the rules of vLLM")
    _flags(draft, program, given, enter)
    vllm.settle(draft)
    return draft.deployment()


def _flags(draft: Draft, program: str, given: Arguments, enter: Callable[[Draft, Item], None]) -> None:
    """Enter keyword arguments as the flags of the same names."""
    flags = table(program)
    for key, value in _plain(given).items():
        flag = flags.find(f"--{key}")
        if isinstance(value, Called):
            draft.note(f"{key[:60]}={value.name[:60]}(...) can change the memory and is not planned")
            draft.unread.add(flag.option if flag else key)
        elif key not in {"model", "model_path"}:
            enter(draft, _item(key, flag, value))


def _item(key: str, flag: Flag | None, value: object) -> Item:
    if isinstance(value, bool) and flag and flag.takes == "none":
        return Item(f"{key}={value}", flag, off=not value)
    text = json.dumps(value, default=str) if isinstance(value, dict) else str(value)
    return Item(f"{key}={value}", flag, text)


def llama(name: str, given: Arguments) -> Deployment:
    """llama-cpp-python: ``Llama(...)``, ``Llama.from_pretrained(...)``; LangChain: ``LlamaCpp(...)``."""
    draft = _draft(name, "llama.cpp", given, "model_path")
    first = name.endswith("from_pretrained")
    if repo := _text(given, "repo_id", *(("0",) if first else ())):
        file = _text(given, "filename", "1")
        draft.model = hub.choose(repo, [file]) if file else llama_cpp.hub_model(draft, repo, None)
    draft.model = draft.model or _text(given, "0")
    for key, value in _plain(given).items():
        flag = table("llama_cpp_python").find(f"--{key}")
        if flag and flag.option != "model":
            text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            llama_cpp_python.enter(draft, Item(f"{key}={value}", flag, text))
    llama_cpp_python.settle(draft)
    return draft.deployment()


def mlx(name: str, given: Arguments) -> Deployment:
    """``load("mlx-community/...")``."""
    return _draft(name, "mlx", given, "0", "path_or_hf_repo", "model_path").deployment()


def download(name: str, given: Arguments) -> Deployment:
    """``snapshot_download`` and ``hf_hub_download``: the model, or its one GGUF file."""
    draft = _draft(name, None, given, "repo_id", "0")
    patterns = given.get("allow_patterns")
    wanted = [str(text) for text in patterns] if isinstance(patterns, list | tuple) else [str(patterns or "")]
    draft.model = hub.choose(draft.model, [*wanted, _text(given, "filename", "1")])
    return draft.deployment()


def ollama_model(name: str, given: Arguments) -> Deployment:
    """``ollama.chat(model=...)`` and LangChain's ``ChatOllama(model=...)``."""
    draft = _draft(name, "llama.cpp", given, "model", "0")
    draft.model = ollama.reference(draft, draft.model) if draft.model else ""
    options = given.get("options")
    for key, value in {**_plain(given), **(options if isinstance(options, Mapping) else {})}.items():
        ollama.parameter(draft, str(key), str(value))
    return draft.deployment()


def lm_studio(name: str, given: Arguments) -> Deployment:
    """``lms.llm("...")`` of LM Studio's SDK."""
    draft = _draft(name, None, given, "0", "model_key")
    draft.model = f"lmstudio:{draft.model}" if draft.model else ""
    config = given.get("config")
    length = config.get("contextLength") if isinstance(config, Mapping) else None
    if isinstance(length, int) and length > 0:
        draft.values["context"] = str(length)
    return draft.deployment()


def mistralrs(name: str, given: Arguments) -> Deployment:
    """``Runner(which=Which.Plain(model_id=...))`` of mistral.rs."""
    which = given.get("which")
    inner = which.arguments if isinstance(which, Called) else {}
    draft = _draft(name, None, inner, "model_id", "quantized_model_id")
    draft.values |= {
        key: _text(inner, name)
        for key, name in (("gguf_repo", "quantized_model_id"), ("gguf_file", "quantized_filename"))
        if _text(inner, name)
    }
    if packed := _text(given, "in_situ_quant"):
        draft.values["weights"] = packed
    mistral.settle(draft, [])
    return draft.deployment()
