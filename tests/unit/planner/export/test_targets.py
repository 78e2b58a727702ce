"""What each target is told: the model, refusals with a way out, nothing that a shell could mistake."""

import json
import re
import subprocess
from dataclasses import replace

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hwledger
from hwledger.errors import DoesNotFitError, UnknownOptionError, UsageError
from hwledger.model.origin import Origin, Place
from hwledger.model.packings import named_packings
from hwledger.model.quantisation import Quantisation
from hwledger.model.spec import ModelSpec
from hwledger.planner.document import schema
from hwledger.planner.export import TARGETS, export, exported, planned_as
from support.exports import COMMIT, command_of, gguf_model, hub_model, make

LLAMA = "meta-llama/Meta-Llama-3.1-8B"


LOCAL = Origin(place=Place.FOLDER, name="/m/my lora")


def at(place: Place, name: str, path: str = "", *, gguf: bool = True) -> ModelSpec:
    """Return a model at a place."""
    spec = gguf_model(LLAMA) if gguf else hub_model(LLAMA)
    return replace(spec, origin=Origin(place=place, name=name, path=path), revision="")


@pytest.mark.requirement("FR-EXPORT-TARGETS")
@pytest.mark.parametrize(
    ("spec", "target", "engine", "words"),
    [
        (hub_model(LLAMA), "vllm", "vllm", ["serve", LLAMA, "--revision", COMMIT]),
        (at(Place.FOLDER, "/m/a b", gguf=False), "vllm", "vllm", ["serve", "/m/a b"]),
        (hub_model(LLAMA), "sglang", "vllm", ["--model-path", LLAMA, "--revision", COMMIT]),
        (hub_model(LLAMA), "mlx", "mlx", ["--model", LLAMA]),
        (hub_model(LLAMA), "mistralrs", "vllm", ["-m", LLAMA]),
        (at(Place.FILE, "/m/x.gguf"), "llama.cpp", None, ["-m", "/m/x.gguf"]),
        (at(Place.HUB, "o/r", "q/x.gguf"), "llama.cpp", None, ["--hf-repo", "o/r", "--hf-file", "q/x.gguf"]),
        (at(Place.WEB, "https://h/x.gguf"), "llama.cpp", None, ["--model-url", "https://h/x.gguf"]),
        (at(Place.OLLAMA, "qwen3:8b", "/b/sha256-1"), "llama.cpp", None, ["-m", "/b/sha256-1"]),
        (at(Place.FILE, "/m/x.gguf"), "mistralrs", None, ["--format", "gguf", "-m", "/m", "-f", "x.gguf"]),
        (at(Place.HUB, "o/r", "q/x.gguf"), "mistralrs", None, ["-m", "o/r", "-f", "q/x.gguf"]),
    ],
)
def test_models_as_each_program_names_them(
    spec: ModelSpec, target: str, engine: str | None, words: list[str]
) -> None:
    """Repositories with their commit, files of repositories, paths, addresses and blobs."""
    command = command_of(export(make(spec, engine=engine), target))
    assert any(command[i : i + len(words)] == words for i in range(len(command)))


@pytest.mark.requirement("FR-EXPORT-TARGETS")
@pytest.mark.parametrize(
    ("spec", "line"),
    [
        (at(Place.FILE, "/m/x.gguf"), "FROM /m/x.gguf"),
        (at(Place.OLLAMA, "qwen3:8b"), "FROM qwen3:8b"),
        (at(Place.HUB, "o/r", "q/x-Q4_K_M.gguf"), "FROM hf.co/o/r:x-Q4_K_M.gguf"),
        (at(Place.FOLDER, "/m/folder", gguf=False), "FROM /m/folder"),
    ],
)
def test_models_in_a_modelfile(spec: ModelSpec, line: str) -> None:
    """Files, names of Ollama's library, files of the hub, and folders that Ollama converts."""
    assert line in export(make(spec, engine="llama.cpp"), "ollama").splitlines()


@pytest.mark.requirement("FR-EXPORT-TARGETS")
def test_ollama_packs_a_folder_as_planned() -> None:
    """Weights that Ollama can make are made by ollama create, which is said on stderr, too."""
    spec = at(Place.FOLDER, "/m/folder", gguf=False)
    made = exported(make(spec, engine="llama.cpp", weights="q4_k_m"), "ollama")
    assert "--quantize q4_K_M" in made.text
    assert any("--quantize q4_K_M" in note for note in made.notes)
    with pytest.raises(UsageError, match="Q4_K_M"):
        export(make(spec, engine="llama.cpp", weights="q3_k_l"), "ollama")


@pytest.mark.requirement("FR-EXPORT-TARGETS")
def test_mlx_converts_first_where_the_plan_packs() -> None:
    """The conversion comes before the server, is skipped once done, and the server reads its folder."""
    text = export(make(hub_model(LLAMA), engine="mlx", weights="4bit", device="M3 Ultra 256GB"), "mlx")
    convert, *server = [line for line in text.splitlines() if not line.startswith("#")]
    assert convert.startswith("test -e Meta-Llama-3.1-8B-4bit || mlx_lm.convert --hf-path ")
    assert "--q-bits 4" in convert
    assert server[1] == "  --model Meta-Llama-3.1-8B-4bit \\"


@pytest.mark.requirement("FR-EXPORT-TARGETS")
def test_the_numbers_behind_every_setting_are_comments() -> None:
    """Each flag of the command has a line that says why, with the figures of the plan."""
    made = make(hub_model("Qwen/Qwen3-32B"), "2x H100 SXM", engine="vllm", context=32768, concurrency=4)
    text = export(made, "vllm")
    why = "32,768 tokens a request: its KV cache and state take 8.00 GiB"
    assert re.search(rf"^#   --max-model-len 32768 +{why}$", text, re.MULTILINE)
    assert "4 requests of full length at once: 32.00 GiB" in text
    for line in text.splitlines():
        if line.startswith("  --"):
            assert f"#   {line.strip().removesuffix(chr(92)).strip()}" in text


@pytest.mark.requirement("FR-EXPORT-TARGETS")
def test_speculation_by_the_models_own_heads() -> None:
    """MTP heads are named; without any, the prompt is matched; a named draft is asked for."""
    heads = make(hub_model("deepseek-ai/DeepSeek-V3"), engine="vllm", options={"num_speculative_tokens": 2})
    command = command_of(export(heads, "vllm"))
    told = json.loads(command[command.index("--speculative-config") + 1])
    assert told == {"method": "mtp", "num_speculative_tokens": 2}
    sglang = command_of(export(heads, "sglang"))
    assert sglang[sglang.index("--speculative-algorithm") + 1] == "NEXTN"
    assert sglang[sglang.index("--speculative-num-draft-tokens") + 1] == "3"
    plain = make(hub_model(LLAMA), engine="vllm", options={"num_speculative_tokens": 2})
    assert '"method": "ngram"' in export(plain, "vllm")
    eagle = make(
        hub_model(LLAMA), engine="vllm", options={"num_speculative_tokens": 2, "num_draft_layers": 1}
    )
    assert any("--speculative-config" in note for note in exported(eagle, "vllm").notes)


@pytest.mark.requirement("FR-EXPORT-TARGETS")
def test_an_adapter_is_served_beside_its_base() -> None:
    """The base is the model, the adapter is loaded into it under a name."""
    adapter = Origin(place=Place.HUB, name="someone/lora")
    spec = replace(hub_model(LLAMA), adapter=adapter, adapter_rank=24)
    vllm = command_of(export(make(spec, engine="vllm"), "vllm"))
    assert vllm[vllm.index("--lora-modules") + 1] == "adapter=someone/lora"
    assert vllm[vllm.index("--max-lora-rank") + 1] == "32"
    assert "--lora-paths" in command_of(export(make(spec, engine="vllm"), "sglang"))
    mistralrs = command_of(export(make(spec, engine="vllm"), "mistralrs"))
    assert mistralrs[mistralrs.index("--lora") + 1] == "adapter=someone/lora"
    here = replace(at(Place.FOLDER, "/m/base", gguf=False), adapter=LOCAL)
    assert f"ADAPTER {LOCAL.name}" in export(make(here, engine="llama.cpp"), "ollama").splitlines()
    quantised = replace(gguf_model(LLAMA), adapter=Origin(place=Place.FILE, name="/a/lora.gguf"))
    server = command_of(export(make(quantised), "llama.cpp"))
    assert server[server.index("--lora") + 1] == "/a/lora.gguf"


@pytest.mark.requirement("FR-EXPORT-TARGETS")
@pytest.mark.parametrize(
    ("rank", "version", "taken"),
    [(1, "0.33.0", "1"), (1, "0.11.0", "8"), (64, "0.6.6", "64"), (65, "0.33.0", "128")],
)
def test_the_rank_is_one_that_the_engine_takes(rank: int, version: str, taken: str) -> None:
    """VLLM knows a few largest ranks: the smallest that is enough is told."""
    spec = replace(hub_model(LLAMA), adapter=LOCAL, adapter_rank=rank)
    words = command_of(export(make(spec, engine="vllm", engine_version=version), "vllm"))
    assert words[words.index("--max-lora-rank") + 1] == taken


@pytest.mark.requirement("FR-EXPORT-REFUSE")
@pytest.mark.parametrize(
    ("spec", "target", "said"),
    [
        (replace(gguf_model(LLAMA), adapter=LOCAL), "llama.cpp", "convert_lora_to_gguf.py"),
        (replace(gguf_model(LLAMA), adapter=LOCAL), "mistralrs", "merge the two"),
        (
            replace(gguf_model(LLAMA), adapter=Origin(place=Place.HUB, name="o/l")),
            "ollama",
            "hf download o/l",
        ),
        (replace(hub_model(LLAMA), adapter=LOCAL), "mlx", "is one of PEFT: merge it"),
        (replace(hub_model(LLAMA), adapter=LOCAL, adapter_rank=513), "vllm", "up to rank 512"),
        (replace(hub_model(LLAMA), adapter=Origin(place=Place.HUB, name="o/l", path="x")), "vllm", "root of"),
        (replace(hub_model(LLAMA), adapter=Origin(place=Place.FOLDER, name="-x")), "sglang", "rename"),
    ],
)
def test_adapters_that_cannot_be_told_are_refused(spec: ModelSpec, target: str, said: str) -> None:
    """No adapter is lost: what cannot load it says what to do."""
    engine = "mlx" if target == "mlx" else None if spec.format == "gguf" else "vllm"
    made = make(spec, engine=engine)
    with pytest.raises(UsageError, match=re.escape(said)):
        export(made, target)


@pytest.mark.requirement("FR-EXPORT-REFUSE")
@pytest.mark.parametrize("target", ["vllm", "compose", "k8s", "json", "sglang"])
def test_what_the_plan_warns_of_is_noted(target: str) -> None:
    """A version that is newer than the rules is said beside the command and in its comments."""
    made = make(hub_model(LLAMA), "H100 SXM", engine="vllm", engine_version="99.0")
    assert made.memory.warnings
    written = exported(made, target)
    assert set(made.memory.warnings) <= set(written.notes)
    assert all(warning in written.text for warning in made.memory.warnings)


@pytest.mark.requirement("FR-EXPORT-TARGETS")
@pytest.mark.parametrize("inner", [name for name, target in TARGETS.items() if target.builder])
def test_json_recipes_follow_their_schema(inner: str) -> None:
    """Every program's recipe validates, and its command is its settings in order."""
    engine = planned_as(inner) or "vllm"
    spec = gguf_model(LLAMA) if engine == "llama.cpp" else hub_model(LLAMA)
    device = "M3 Ultra 256GB" if engine == "mlx" else "RTX 4090"
    document = json.loads(export(make(spec, device, engine=engine), f"json:{inner}"))
    jsonschema.validate(document, schema("hwledger.recipe/1"))
    said = [word for setting in document["settings"] for word in setting["words"]]
    assert document["command"][-len(said) :] == said or not said


@pytest.mark.requirement("FR-EXPORT-TARGETS")
def test_the_ways_in_from_python() -> None:
    """A plan exports itself, the package exports it, and both say the same."""
    made = make(hub_model(LLAMA), engine="vllm")
    assert made.export("vllm") == hwledger.export(made, "VLLM") == export(made, "vllm")
    assert export(make(gguf_model(LLAMA)), "llamacpp") == export(make(gguf_model(LLAMA)), "llama.cpp")


PACKED = Quantisation(method="modelopt", packing=named_packings()["nvfp4"].packing)


@pytest.mark.requirement("FR-EXPORT-REFUSE")
@pytest.mark.parametrize(
    ("spec", "target", "more", "instead"),
    [
        (gguf_model(LLAMA), "sglang", {"engine": "vllm"}, "safetensors"),
        (gguf_model(LLAMA), "vllm", {"engine": "vllm"}, "export to llama.cpp"),
        (gguf_model(LLAMA), "mlx", {"engine": "mlx"}, "mlx-community"),
        (hub_model(LLAMA), "llama.cpp", {"engine": "llama.cpp"}, "name a GGUF"),
        (hub_model(LLAMA), "ollama", {"engine": "llama.cpp"}, "name a GGUF"),
        (replace(hub_model(LLAMA), quantisation=PACKED), "llama.cpp", {"engine": "llama.cpp"}, "name a GGUF"),
        (replace(hub_model(LLAMA), quantisation=PACKED), "vllm", {"engine": "vllm", "weights": "fp8"},
        "as it is stored"),
        (replace(hub_model(LLAMA), format="mlx"), "vllm", {"engine": "vllm"}, "export to mlx"),
        (hub_model(LLAMA), "vllm", {"engine": "vllm", "weights": "awq"}, "name a checkpoint"),
        (hub_model(LLAMA), "mlx", {"engine": "mlx", "weights": "awq"}, "name a checkpoint"),
        (gguf_model(LLAMA), "llama.cpp", {"weights": "q4_0"}, "llama-quantize"),
        (hub_model(LLAMA), "sglang", {"engine": "vllm", "kv_cache": "turboquant_4bit_nc"}, "--kv-cache"),
        (hub_model(LLAMA), "vllm", {"engine": "vllm", "kv_cache": "nvfp4", "engine_version": "0.11.0"},
        "--kv-cache"),
        (gguf_model(LLAMA), "ollama", {"kv_cache": "q5_1"}, "--kv-cache"),
        (gguf_model(LLAMA), "ollama", {"options": {"n_cpu_moe": 3}}, "export to llama.cpp"),
        (gguf_model(LLAMA), "ollama", {"options": {"cache_type_k": "q8_0"}}, "one --kv-cache"),
        (hub_model(LLAMA), "llama.cpp", {"engine": "vllm"}, "--engine llama.cpp"),
        (hub_model(LLAMA), "compose", {"engine": "transformers"}, "--engine vllm"),
        (hub_model(LLAMA), "k8s", {"engine": "mlx"}, "--export mlx"),
        (hub_model(LLAMA), "compose:mlx", {"engine": "mlx"}, "--export mlx"),
        (replace(hub_model(LLAMA), origin=None), "vllm", {"engine": "vllm"}, "plan it by its name"),
        (at(Place.FILE, "-rf.gguf"), "llama.cpp", {}, "rename"),
        (at(Place.FILE, "/m/a\nrm -rf x.gguf"), "llama.cpp", {}, "rename"),
        (at(Place.FILE, "/m/a\\x0arm -rf x.gguf"), "llama.cpp", {}, "rename"),
        (at(Place.HUB, "o/r", "sub", gguf=False), "vllm", {"engine": "vllm"}, "hf download"),
        (at(Place.WEB, "https://h/x.gguf"), "mistralrs", {}, "plan the GGUF file"),
        (at(Place.OLLAMA, "qwen3:8b"), "llama.cpp", {}, "export it to ollama"),
    ],
)  # fmt: skip
def test_what_a_target_cannot_run_is_refused_with_what_to_do(
    spec: ModelSpec, target: str, more: dict[str, object], instead: str
) -> None:
    """Formats, packings, caches and places that the program does not know: one sentence with the way out."""
    with pytest.raises(UsageError, match=instead) as refused:
        export(make(spec, **more), target)
    assert "\n" not in str(refused.value)


@pytest.mark.requirement("FR-EXPORT-REFUSE")
def test_a_plan_that_does_not_fit_is_written_by_force_alone() -> None:
    """The refusal has the exit code of the verdict; by force the text says that it does not fit."""
    made = make(hub_model("Qwen/Qwen3-32B"), "RTX 4090", engine="vllm")
    with pytest.raises(DoesNotFitError, match="GiB on the fullest device are missing") as refused:
        export(made, "vllm")
    assert refused.value.exit_code == 3
    assert "does NOT fit" in export(made, "vllm", force=True)


@pytest.mark.requirement("FR-EXPORT-TARGETS")
def test_a_secret_in_an_address_is_not_written() -> None:
    """Where the address was shortened for its secret, that is said."""
    origin = Origin(place=Place.WEB, name="https://h/x.gguf", withheld=True)
    assert any(
        "secret" in note
        for note in exported(make(replace(gguf_model(LLAMA), origin=origin)), "llama.cpp").notes
    )


@pytest.mark.requirement("FR-EXPORT-REFUSE")
def test_targets_that_do_not_exist() -> None:
    """Unknown names list the known ones; only containers and documents hold a program."""
    made = make(hub_model(LLAMA), engine="vllm")
    for target in ("tgi", "compose:tgi"):
        with pytest.raises(UnknownOptionError, match="sglang"):
            export(made, target)
    for target in ("vllm:sglang", "compose:k8s", "k8s:"):
        with pytest.raises(UsageError):
            export(made, target)


@pytest.mark.requirement("FR-EXPORT-REFUSE")
def test_what_cannot_be_told_is_said() -> None:
    """A flag that a version lacks, a context beyond the model's, and internal settings become notes."""
    old = make(hub_model(LLAMA), engine="vllm", engine_version="0.6.6", device="2x H200",
               options={"data_parallel_size": 2})  # fmt: skip
    assert any("data_parallel_size=2" in note for note in exported(old, "vllm").notes)
    long = make(hub_model(LLAMA), engine="vllm", context=400_000)
    assert any("131,072" in note for note in exported(long, "vllm").notes)
    inner = exported(make(gguf_model(LLAMA), options={"n_outputs_max": 7}), "llama.cpp")
    assert any("n_outputs_max=7" in note for note in inner.notes)
    assert "n_outputs_max=7" in inner.text
    many = make(
        hub_model(LLAMA), "H100 SXM", engine="vllm", concurrency=40, context=100, options={"max_num_seqs": 8}
    )
    assert "--max-num-seqs 40" in export(many, "vllm")
    assert any("max_num_seqs=40" in note for note in exported(many, "vllm").notes)


PATHS = st.text(
    st.characters(exclude_categories=["C", "Z"]) | st.sampled_from(" '\"$`\\;&|<>*?#~!(){}[]=%"),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(PATHS)
@pytest.mark.requirement("FR-EXPORT-TARGETS")
def test_any_path_reaches_the_program_whole(path: str) -> None:
    """A real shell gives the program the path as it is, whatever letters it has, and runs nothing else."""
    name = f"/models/{path}.gguf"
    spec = replace(
        gguf_model(LLAMA), id=f"x\n; echo owned\u2028{path}", origin=Origin(place=Place.FILE, name=name)
    )
    if not name.isprintable():
        return
    text = export(make(spec), "llama.cpp")
    assert command_of(text)[2] == name
    fake = 'llama_server() { for word in "$@"; do printf \'%s\\n\' "$word"; done; }\n'
    ran = subprocess.run(["sh", "-c", fake + text.replace("llama-server \\", "llama_server \\")],
                         capture_output=True, text=True, check=True)  # fmt: skip
    assert ran.stdout.splitlines()[1] == name
    assert "owned" not in ran.stdout
