"""Models of LM Studio: from its models folder, found by name or through its server on loopback."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwledger.app import plan
from hwledger.errors import AmbiguousError, HwledgerError, MissingError, UnreachableError, UsageError
from hwledger.library.access import Access
from hwledger.library.lmstudio import store as stores
from hwledger.library.lmstudio.running import deployment
from hwledger.library.lmstudio.server import base_url
from hwledger.library.source import open_model
from hwledger.library.sources.lmstudio import LmStudioSource
from hwledger.planner.plan import plan as plan_spec
from support import tiny
from support.checkpoints import put
from support.engine_servers import EngineServer, LmStudio
from support.lmstudio import newer_row, put_home
from support.mutations import mutated

pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("FR-SRC-LMSTUDIO")]
LOADED = {"context_length": 1024, "eval_batch_size": 256, "parallel": 4, "flash_attention": True,
          "offload_kv_cache_to_gpu": False, "num_experts": 4}  # fmt: skip


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every test find no server but its own."""
    monkeypatch.setenv("LMSTUDIO_BASE_URL", "127.0.0.1:9")


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the models folder of a home with one GGUF and one MLX model."""
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = put_home(tmp_path)
    put(folder / "maker/Tiny-1B-GGUF", {"Tiny-1B-F16.gguf": tiny.gguf_file()})
    put(folder / "mlx-community/Tiny-1B-4bit", tiny.mlx())
    return folder


def test_a_file_gives_the_plan_of_the_file_itself(models: Path) -> None:
    """The same bytes give the same plan from LM Studio's folder and by path."""
    path = models / "maker/Tiny-1B-GGUF/Tiny-1B-F16.gguf"
    spec, plain = open_model("lmstudio:maker/Tiny-1B-GGUF"), open_model(str(path))
    assert (spec.layers, spec.tensors, spec.vocab_size) == (plain.layers, plain.tensors, plain.vocab_size)
    ours, theirs = (plan_spec(each, engine="llama.cpp") for each in (spec, plain))
    assert ours.memory.components == theirs.memory.components
    assert spec.source == "lmstudio:maker/Tiny-1B-GGUF/Tiny-1B-F16.gguf"


@pytest.mark.parametrize(
    ("ref", "format_"),
    [
        ("maker/Tiny-1B-GGUF/Tiny-1B-F16.gguf", "gguf"),
        ("maker/tiny-1b-gguf", "gguf"),
        ("tiny-1b@f16", "gguf"),
        ("Tiny-1B-F16.gguf", "gguf"),
        ("mlx-community/Tiny-1B-4bit", "mlx"),
        ("tiny-1b@4bit", "mlx"),
    ],
)
def test_a_model_answers_to_all_its_names(models: Path, ref: str, format_: str) -> None:
    """Path, repository, file and key with a variant name a model, whatever the case."""
    assert models.is_dir()
    assert open_model(f"lmstudio:{ref}").format == format_


def test_a_key_of_two_models_lists_both(models: Path) -> None:
    """A key that two packings share is never chosen between."""
    assert models.is_dir()
    with pytest.raises(AmbiguousError, match=r"F16\.gguf, lmstudio:mlx-community/Tiny-1B-4bit"):
        open_model("lmstudio:tiny-1b")


def test_plain_names_are_claimed_only_where_they_are_here(models: Path) -> None:
    """Without the prefix a name of the folder counts; other plain names are left to other sources."""
    assert models.is_dir()
    source = LmStudioSource()
    assert source.candidates("maker/Tiny-1B-GGUF") == ["maker/Tiny-1B-GGUF/Tiny-1B-F16.gguf"]
    assert not source.candidates("gpt2")
    assert source.named("gpt2") == ["gpt2"]
    near = source.nearest("tinny-1b")
    assert set(near) == {"maker/Tiny-1B-GGUF/Tiny-1B-F16.gguf", "mlx-community/Tiny-1B-4bit"}


def test_the_list_has_size_and_packing(models: Path) -> None:
    """Both models are listed with bytes on disk and packing; projectors and half downloads are no models."""
    put(models / "maker/Tiny-1B-GGUF", {"mmproj-Tiny-F16.gguf": b"GGUF", "x.gguf.part": b"GGUF"})
    put(models / "maker/Empty", {"README.md": b"nothing"})
    gguf, mlx = stores.models()
    assert (gguf.ref, gguf.kind) == ("lmstudio:maker/Tiny-1B-GGUF/Tiny-1B-F16.gguf", "lm studio")
    assert (gguf.quantisation, mlx.quantisation) == ("F16", "4bit")
    assert gguf.size_bytes == len(tiny.gguf_file()) + 4
    assert any("projector (4 bytes)" in said for said in open_model(gguf.ref).unknowns)


def test_other_places_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings, the pointer to a home and the older home are followed."""
    monkeypatch.setenv("HOME", str(tmp_path))
    put_home(tmp_path, {"downloadsFolder": str(tmp_path / "disk")})
    put(tmp_path / "disk/a/One-GGUF", {"One-F16.gguf": tiny.gguf_file()})
    put(tmp_path / ".cache/lm-studio/models/b/Two-GGUF", {"Two-F16.gguf": tiny.gguf_file()})
    put(put_home(tmp_path / "other") / "c/Three-GGUF", {"Three-F16.gguf": tiny.gguf_file()})
    (tmp_path / ".lmstudio-home-pointer").write_text(f"{tmp_path / 'other' / '.lmstudio'}\n")
    found = [model.name for model in stores.models()]
    assert found == ["a/One-GGUF", "b/Two-GGUF", "c/Three-GGUF"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"downloadsFolder": 7}', '{"downloadsFolder": "\\u0000"}'])
def test_broken_settings_count_as_none(models: Path, text: str) -> None:
    """LM Studio starts with broken settings, and so do we."""
    (models.parent / "settings.json").write_text(text)
    assert len(stores.models()) == 2


def test_the_server_finds_the_file(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of the server's own leads to the file by its size where the names differ."""
    size = len(tiny.gguf_file())
    put(models / "maker/other", {"odd-name-v2.gguf": tiny.gguf_file(**{"general.name": "odd"})})
    size = (models / "maker/other/odd-name-v2.gguf").stat().st_size
    row = newer_row("maker/odd-name", size_bytes=size, quantisation="")
    with LmStudio(v1={"models": [row]}) as server:
        monkeypatch.setenv("LMSTUDIO_BASE_URL", f"{server.url}/v1")
        assert open_model("lmstudio:maker/odd-name").id == "odd"
        with pytest.raises(MissingError, match="no model maker/od here; did you mean maker/odd-name"):
            open_model("lmstudio:maker/od")


def test_a_model_of_another_machine_names_its_repository(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only the server has cannot be read, and the sentence says which repository can."""
    assert models.is_dir()
    row = newer_row("far-away-8b", publisher="lmstudio-community", quantisation="Q4_K_M", size_bytes=9)
    with LmStudio(v1={"models": [row]}) as server:
        monkeypatch.setenv("LMSTUDIO_BASE_URL", server.url)
        with pytest.raises(MissingError, match="hf:lmstudio-community/far-away-8b-GGUF:Q4_K_M"):
            open_model("lmstudio:far-away-8b")


def test_without_folder_and_server_both_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to be found names the folders that were tried and what to do."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UnreachableError, match=r"no models in .*\.lmstudio/models.*start its server"):
        open_model("lmstudio:any")


def test_a_loaded_model_is_planned_as_it_runs(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Context, parallel requests over one cache, batch and cache place of the loaded instance count."""
    assert models.is_dir()
    row = newer_row("tiny-1b", variants=["tiny-1b@f16"], config=LOADED)
    with LmStudio(v1={"models": [row]}) as server:
        monkeypatch.setenv("LMSTUDIO_BASE_URL", server.url)
        made = plan("lmstudio:tiny-1b@f16")
        mine = plan("lmstudio:tiny-1b@f16", context=128)
    assert (made.program, made.engine) == ("LM Studio", "llama.cpp")
    assert (made.memory.context_tokens, made.memory.concurrency) == (1024, 4)
    assert made.memory.options["kv_unified"] is True
    assert any("4 experts" in said for said in made.memory.warnings)
    assert mine.memory.context_tokens == 128
    assert mine.total_bytes < made.total_bytes


def test_the_older_list_states_the_context(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not know /api/v1 answers it with an error and 200; its older list counts."""
    assert models.is_dir()
    row = {"id": "tiny-1b@f16", "type": "llm", "publisher": "maker", "compatibility_type": "gguf",
           "quantization": "F16", "state": "loaded", "loaded_context_length": 640}  # fmt: skip
    with LmStudio({"data": [row]}) as server:
        monkeypatch.setenv("LMSTUDIO_BASE_URL", server.url)
        told = deployment("lmstudio:tiny-1b@f16", Access())
    assert told
    assert (told.engine, told.context) == ("llama.cpp", 640)


def test_an_unloaded_model_says_so(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Usual settings are a note and no silence: not loaded, or no server that answers."""
    assert models.is_dir()
    with LmStudio(v1={"models": [newer_row("tiny-1b@f16")]}) as server:
        monkeypatch.setenv("LMSTUDIO_BASE_URL", server.url)
        told = deployment("lmstudio:tiny-1b@f16", Access())
    gone = deployment("lmstudio:tiny-1b@f16", Access())
    assert told
    assert gone
    assert any("not have it in memory" in note for note in told.notes)
    assert any("no LM Studio at" in note for note in gone.notes)


@pytest.mark.parametrize(
    ("said", "port", "url"),
    [
        ("", None, "http://127.0.0.1:1234"),
        ("", 4321, "http://127.0.0.1:4321"),
        ("", 70000, "http://127.0.0.1:1234"),
        ("http://box:5000/v1", None, "http://box:5000"),
        ("box/api/v1", None, "http://box:1234"),
    ],
)
def test_the_address_of_the_server(
    said: str, port: int | None, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable counts, then the port of the settings, then 1234; the path of an API is taken off."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LMSTUDIO_BASE_URL", said)
    folder = put_home(tmp_path).parent / ".internal"
    folder.mkdir()
    if port is not None:
        (folder / "http-server-config.json").write_text(json.dumps({"port": port}))
    assert base_url() == url


def test_an_address_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nonsense in the variable ends in a sentence that names it."""
    monkeypatch.setenv("LMSTUDIO_BASE_URL", "ftp://box")
    with pytest.raises(UsageError, match="LMSTUDIO_BASE_URL"):
        deployment("lmstudio:tiny", Access())


@pytest.mark.requirement("NFR-SRC-SAFE")
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_hostile_lists_end_in_sentences(
    data: st.DataObject, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a server lists, a model comes out or one of our own errors."""
    assert models.is_dir()
    good: dict[str, Any] = {
        "/api/v1/models": {"models": [newer_row("tiny-1b", config=LOADED), newer_row("far@q8_0")]},
        "/api/v0/models": {"data": [{"id": "tiny-1b", "state": "loaded", "loaded_context_length": 1}]},
    }
    path = data.draw(st.sampled_from(sorted(good)))
    replies = {**good, path: data.draw(mutated(good[path]))}
    with EngineServer(replies) as server:
        monkeypatch.setenv("LMSTUDIO_BASE_URL", server.url)
        for ref in ("lmstudio:tiny-1b@f16", "lmstudio:far"):
            try:
                assert plan(ref)
            except HwledgerError as error:
                assert "\n" not in str(error)  # noqa: PT017 - either outcome is right
