"""What reading a pasted command promises beside the lines themselves: notes, refusals, complete tables."""

import csv
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwledger.errors import UsageError
from hwledger.library.commands import is_command, read_command
from hwledger.library.commands.launch import find
from hwledger.library.commands.programs import READERS
from hwledger.library.commands.table import table
from hwledger.library.deployment import Deployment
from hwledger.planner.engine import engine_profile
from hwledger.planner.options import parse_options

pytestmark = pytest.mark.requirement("FR-SRC-COMMANDS")

ENGINES = {
    "vllm": "vllm",
    "sglang": "vllm",
    "tgi": "vllm",
    "llama_cpp": "llama.cpp",
    "llama_bench": "llama.cpp",
    "llama_cpp_python": "llama.cpp",
    "mlx": "mlx",
    "vllm_bench": "vllm",
    "trtllm": "vllm",
    "lmdeploy": "vllm",
    "koboldcpp": "llama.cpp",
    "ramalama": "llama.cpp",
    "transformers": "transformers",
}
PLAIN = {"model", "revision", "context", "concurrency", "weights", "kv_cache", "aside", "unmodelled"}
OWN = {
    "vllm": {"json", "hf_overrides", "rope_scaling", "config"},
    "sglang": {"model_override", "config"},
    "lmdeploy": {"hf_overrides", "experts"},
    "trtllm": {"experts", "config"},
    "vllm_bench": {"input", "output", "batch"},
    "koboldcpp": {"quantkv", "cpu", "autofit"},
    "ramalama": {"runtime"},
    "transformers": {"four", "eight", "quantization"},
    "modelscope": {"dataset", "include"},
    "llama_cpp": {
        "model_url",
        "docker_repo",
        "hf_repo",
        "hf_file",
        "load_mode",
        "preset",
        "override_kv",
        "override_tensor",
        "devices",
        "fit",
    },
    "llama_bench": {
        "hf_repo",
        "hf_file",
        "prompt",
        "generated",
        "prompt_generated",
        "depth",
        "no_op_offload",
        "load_mode",
        "override_tensor",
    },
    "llama_cpp_python": {"hf_repo", "offload_kqv", "ggml_k", "ggml_v"},
    "lmstudio": {"gpu"},
    "mistralrs": {"gguf_repo", "gguf_file", "dtype"},
    "hub": {"repo_type", "include"},
    "docker": {"env", "volume", "mount", "entrypoint", "gpus"},
}
TABLES = (
    "vllm",
    "sglang",
    "tgi",
    "llama_cpp",
    "llama_bench",
    "llama_cpp_python",
    "mlx",
    "ollama",
    "lmstudio",
    "mistralrs",
    "hub",
    "git",
    "docker",
    "vllm_bench",
    "trtllm",
    "lmdeploy",
    "koboldcpp",
    "ramalama",
    "model_runner",
    "modelscope",
    "transformers",
)
PIECES = st.sampled_from(
    [
        "vllm",
        "serve",
        "a/b",
        " ",
        "\n",
        "--max-model-len",
        "=",
        "'",
        '"',
        "\\",
        "docker",
        "run",
        "llama-server",
        "-m",
        "$A",
        "A=$A$A",
        "ollama",
        "(",
        "LLM(",
        "model=",
        "|",
        ">",
        "&",
        "#",
        "`",
        "-",
        "--",
        "python",
        "-tp",
        "9" * 30,
        "vllm/vllm-openai:v1.2",
        "bash",
        "-c",
        "sudo",
        "{",
        "}",
        "--speculative-config",
        "\u2014",
        "[" * 50,
        "1k",
        "$(",
    ]
)


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of one table of flags."""
    text = files("hwledger.library.commands").joinpath("data", f"{name}.csv").read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))


@pytest.mark.parametrize("name", TABLES)
def test_every_row_sets_what_exists(name: str) -> None:
    """Each row names an option of its engine's profile or one of the plain fields, and its source."""
    known = set(engine_profile(ENGINES[name]).options) if name in ENGINES else set()
    for row in rows(name):
        option, _, constant = row["option"].partition("=")
        assert option in known | PLAIN | OWN.get(name, set()), row
        assert row["takes"] in {"none", "value", "optional", "many", "two"}, row
        assert row["source"], row
        assert constant in {"", "on", "off"}, row


@pytest.mark.parametrize("name", TABLES)
def test_no_flag_is_listed_twice(name: str) -> None:
    """A spelling stands for one flag only."""
    spellings = [word for row in rows(name) for word in (row["flag"], *row["aliases"].split())]
    assert len(spellings) == len(set(spellings))


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("vllm", "vllm serve a/b {}"),
        ("sglang", "sglang serve a/b {}"),
        ("mlx", "mlx_lm.server --model a/b {}"),
        ("tgi", "text-generation-launcher --model-id a/b {}"),
        ("llama_cpp", "llama-server -m a.gguf {}"),
        ("llama_bench", "llama-bench -m a.gguf {}"),
        ("ollama", "ollama run a {}"),
        ("lmstudio", "lms load a {}"),
        ("hub", "hf download a/b {}"),
        ("mistralrs", "mistralrs run -m a/b {}"),
        ("vllm_bench", "vllm bench latency --model a/b {}"),
        ("trtllm", "trtllm-serve a/b {}"),
        ("lmdeploy", "lmdeploy serve api_server a/b {}"),
        ("koboldcpp", "koboldcpp a.gguf {}"),
        ("ramalama", "ramalama run {} a"),
        ("model_runner", "docker model run {} hf.co/a/b"),
        ("modelscope", "modelscope download --model a/b {}"),
        ("transformers", "transformers serve a/b {}"),
    ],
)
@pytest.mark.parametrize("value", ["2", "fp8", "-1", "", "8192", "0.5", "auto"])
def test_every_flag_gives_options_that_its_engine_takes(name: str, line: str, value: str) -> None:
    """Whatever value a flag has, the options that come out are ones that the profile can read."""
    for row in rows(name):
        words = row["flag"] + (f" {value}" if row["takes"] != "none" else "")
        try:
            found = read_command(line.format(words))
        except UsageError:
            continue
        if found.engine:
            parse_options(found.engine, engine_profile(found.engine).options, dict(found.options))


@pytest.mark.parametrize("name", ["vllm", "sglang"])
def test_the_model_is_found_behind_every_switch(name: str) -> None:
    """A switch never takes the model that follows it for its value."""
    for row in rows(name):
        if row["takes"] == "none":
            assert read_command(f"{name} serve {row['flag']} a/b").model == "a/b", row


@pytest.mark.parametrize("row", rows("programs"), ids=lambda row: row["words"])
def test_every_program_has_a_reader(row: dict[str, str]) -> None:
    """Each program that is listed is found and has a reader."""
    words = {"command": "{}", "module": "python -m {}", "image": "docker run {}", "script": "python x/{}"}[
        row["kind"]
    ].format(row["words"])
    found = find(words.split(), {})
    assert found
    assert found.reader == row["reader"]
    assert row["reader"] in READERS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("vllm serve a/b --brand-new 3", "--brand-new 3 is no flag"),
        ("llama-server -m x.gguf --brand-new", "--brand-new is no flag"),
        ("vllm serve a/b c/d", "'c/d' belongs to no flag"),
        ("vllm serve a/b --enable-lora", "--enable-lora can change the memory"),
        ("vllm serve a/b --max-model-len auto", "max_model_len to vLLM"),
        ("vllm serve a/b --compilation-config.mode 3", "--compilation-config.mode 3"),
        ("vllm serve a/b --quantization awq", "packed already"),
        ("vllm serve a/b --kv-cache-dtype q4_0", "no type of a KV cache"),
        ("sglang serve a/b", "SGLang has no profile"),
        ("text-generation-launcher --model-id a/b", "Text Generation Inference has no profile"),
        ("mistralrs run -m a/b", "mistral.rs has no profile"),
        ("llama-server -hf a/b", "Q4_K_M is taken, else Q8_0"),
        ("llama-server -m x.gguf", "4 slots"),
        ("llama-server -m x.gguf -sm row", "not planned: split_mode"),
        ("llama-server -m x.gguf -c 32k", "is no number"),
        ("CUDA_VISIBLE_DEVICES=0,1 vllm serve a/b", "CUDA_VISIBLE_DEVICES=0,1"),
    ],
)
def test_what_is_not_planned_is_said(text: str, words: str) -> None:
    """A flag that is not known or not planned becomes a note that names it."""
    assert any(words in note for note in read_command(text).notes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ls -la", "no command"),
        ("", "no command"),
        ("vllm serve", "told no model"),
        ("vllm serve --port 80", "told no model"),
        ("vllm serve $MODEL", "write the model's name"),
        ("vllm serve <model>", "told no model"),
        ("vllm serve 'a/b", "quote"),
        ("vllm serve a/b\nvllm serve c/d", "several ways"),
        ("vllm serve a/b -tp 2\nvllm serve a/b -tp 4", "tensor_parallel_size=4"),
        ("llama-server -dr ai/gemma3", "container registry"),
        ("hf download a/b --repo-type dataset", "no model"),
        ("git clone https://huggingface.co/datasets/a/b", "no model"),
        ("vllm serve a/b " + "x" * 30_000, "characters"),
        ("LLM(model=name)", "told no model"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(text: str, words: str) -> None:
    """A text without a command, a model or closed quotes is refused, and the sentence says which."""
    with pytest.raises(UsageError, match=words):
        read_command(text)


@pytest.mark.parametrize(
    "ref",
    [
        "Qwen/Qwen3-32B",
        "ollama:qwen3:8b",
        "/models/my model.gguf",
        "hf:a/b:Q4_K_M",
        "vllm",
        "http://localhost:8000",
        "",
        "my vllm serve notes",
        "C:\\my models\\x.gguf",
        "(",
        "git clone",
        "x" * 100_000,
    ],
)
def test_a_plain_name_is_no_command(ref: str) -> None:
    """Names, paths and addresses are left to the sources of models."""
    assert not is_command(ref) or ref == "git clone"


def test_version_context_and_the_rest_have_places_of_their_own() -> None:
    """A tagged image gives the version; context, requests, packing and revision get their fields."""
    assert read_command("docker run vllm/vllm-openai:v0.20.1 a/b").engine_version == "0.20.1"
    assert (
        read_command("docker run ghcr.io/ggml-org/llama.cpp:server-cuda-b6500 -m x").engine_version == "b6500"
    )
    assert read_command("docker run vllm/vllm-openai:v0.4.0 a/b").engine_version is None
    for tag in ("latest", "nightly", "v0-beta"):
        assert read_command(f"docker run vllm/vllm-openai:{tag} a/b").engine_version is None
    assert read_command("lms load x -c 8192 --parallel 2").context == 8192
    assert read_command("OLLAMA_NUM_PARALLEL=3 ollama run x").concurrency == 3
    assert read_command("mistralrs run -m a/b --isq Q4K").weights == "q4_k"
    assert read_command("mistralrs run -m a/b --isq hqq4").weights is None
    assert read_command("vllm serve a/b --revision main").revision == "main"


def test_shortened_names_do_not_hide_flags() -> None:
    """A shortened name counts where it can only be one flag."""
    assert table("vllm").find("--tensor-parallel")
    assert table("vllm").find("--enable") is None
    assert table("llama_cpp").find("--ctx-siz") is None


@settings(max_examples=300, deadline=2000)
@given(
    st.one_of(
        st.text(max_size=200),
        st.lists(PIECES, max_size=25).map("".join),
        st.lists(PIECES, max_size=25).map(" ".join),
    )
)
def test_any_text_gives_a_deployment_or_a_sentence(text: str) -> None:
    """No text does anything but give a deployment or a usage error."""
    is_command(text)
    try:
        found = read_command(text)
    except UsageError:
        return
    assert isinstance(found, Deployment)
    assert found.model
    if found.engine:
        parse_options(found.engine, engine_profile(found.engine).options, dict(found.options))


@pytest.mark.requirement("FR-SRC-COMMANDS")
def test_what_a_server_does_untold_is_part_of_what_it_runs() -> None:
    """VLLM takes one rank and the whole context, llama-server the trained one; a stated context is kept."""
    untold, told = read_command("vllm serve a/b"), read_command("vllm serve a/b --max-model-len 8k -tp 4")
    assert (untold.options["tensor_parallel_size"], untold.whole_context) == ("1", True)
    assert (told.options["tensor_parallel_size"], told.whole_context) == ("4", False)
    assert read_command("llama-server -m x.gguf").options["n_ctx"] == "0"
    assert read_command("llama-server -m x.gguf -c 4096").options["n_ctx"] == "4096"


def test_a_command_that_is_printed_is_a_text() -> None:
    """What ``echo`` or ``grep`` is given in quotes runs nothing."""
    assert not is_command('echo "vllm serve is great" && echo done')
    assert not is_command('grep "ollama run qwen3" notes.md')
