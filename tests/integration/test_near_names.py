"""A slip of the pen in a name of the hub: the names that are known here are said, whoever refuses it."""

from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.errors import DeniedError, HwledgerError, MissingError, OfflineError, UnreachableError
from hwledger.library.access import Access
from hwledger.library.near import MOST_NEAR, closest, near_names
from hwledger.library.source import installed_sources, open_model
from support import tiny
from support.checkpoints import put
from support.hub_cache import put_snapshot
from support.hub_repo import SHA, Repo
from support.hub_server import HubServer
from support.lmstudio import put_home
from support.ollama import put_model
from support.web_server import Reply

pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("FR-SRC-NEAR")]
NOBODY = "http://127.0.0.1:9"
SLIPS = {
    "Qwen/Qwen3-32BB": "Qwen/Qwen3-32B",
    "Qwenn/Qwen3-32B": "Qwen/Qwen3-32B",
    "qwen/qwen3-32bb@main": "Qwen/Qwen3-32B",
    "hf:Qwen/Qwen3-32BB:Q4_K_M": "Qwen/Qwen3-32B",
    "https://huggingface.co/Qwen/Qwen3-32BB/tree/main": "Qwen/Qwen3-32B",
    "someone-else/Qwen3-32B-GGUF": "Qwen/Qwen3-32B",
}


def refused(ref: str, **access: object) -> HwledgerError:
    """Return the error that a reference ends in."""
    with pytest.raises(HwledgerError) as caught:
        open_model(ref, access=Access(**{"time_limit_s": 30.0, **access}))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return caught.value


def near_in(error: HwledgerError) -> list[str]:
    """Return the names that a sentence ends with."""
    return [name for name in str(error).partition("; near: ")[2].split(", ") if name]


@pytest.mark.parametrize("ref", SLIPS)
def test_offline_the_catalogue_knows_near_names(ref: str) -> None:
    """Whatever else the reference holds (a revision, a quantisation, a page), its name has neighbours."""
    error = refused(ref, offline=True)
    assert type(error) is OfflineError
    assert SLIPS[ref] in near_in(error)


def test_without_a_network_near_names_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that cannot be reached is an answer of its own, and the name may be wrong all the same."""
    monkeypatch.setenv("HF_ENDPOINT", NOBODY)
    error = refused("Qwen/Qwen3-32BB")
    assert type(error) is UnreachableError
    assert NOBODY in str(error)
    assert near_in(error)[0] == "Qwen/Qwen3-32B"


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_hub_that_refuses_a_name_leads_to_near_ones(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub says 401 or 404 to a name that it does not know, and a broken one may say anything."""
    with HubServer([]) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        hub.faults.append(("/api/models/Qwen/Qwen3-32BB", inf, Reply(status)))
        error = refused("Qwen/Qwen3-32BB")
    assert isinstance(error, UnreachableError if status == 500 else MissingError)
    assert near_in(error)[0] == "Qwen/Qwen3-32B"


def test_models_of_this_machine_are_near_names_that_can_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each program's models are named so that they open as they are said; broken ones are not named."""
    name = "odd-nome"
    for variable in ("HF_HUB_CACHE", "OLLAMA_MODELS", "LLAMA_CACHE", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    put_snapshot(tmp_path / "HF_HUB_CACHE", f"maker/{name}", tiny.plain(), SHA)
    cut = {key: raw for key, raw in tiny.plain().items() if key == "config.json"}
    put_snapshot(
        tmp_path / "HF_HUB_CACHE", f"maker/{name}x", {**cut, "model.safetensors.index.json": b"{}"}, SHA
    )
    put_model(
        tmp_path / "OLLAMA_MODELS", f"registry.ollama.ai/maker/{name}/latest", [("model", tiny.gguf_file())]
    )
    put(put_home(tmp_path / "HOME") / "maker" / f"{name}-GGUF", {f"{name}.gguf": tiny.gguf_file()})
    put(tmp_path / "LLAMA_CACHE", {f"{name}.gguf": tiny.gguf_file()})
    put(tmp_path / "HOME/Documents/huggingface/models/maker" / name, tiny.mlx())
    found = {
        source.name: near_names("maker/odd-name", [source])
        for source in installed_sources()
        if source.nearest("maker/odd-name")
    }
    assert set(found) == {"hf", "ollama", "lmstudio", "gguf", "file"}
    assert found["hf"] == [f"hf:maker/{name}"]
    for ref in (ref for refs in found.values() for ref in refs):
        assert open_model(ref, access=Access(offline=True)).layers
    near = near_in(refused("maker/odd-name", offline=True))
    assert len(near) == MOST_NEAR
    assert set(near) <= {ref for refs in found.values() for ref in refs}


def test_what_exists_has_no_near_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gated model, a missing revision and a model that was read before are no slips of the pen."""
    with HubServer(
        [Repo("Qwen/Qwen3-32BB", tiny.plain()), Repo("Qwen/Qwen3-8BB", tiny.plain(), gated="manual")]
    ) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        denied = refused("Qwen/Qwen3-8BB")
        missing = refused("Qwen/Qwen3-32BB@v7")
        said: list[str] = []
        open_model("Qwen/Qwen3-32BB")
        hub.faults.append(("/api/models/Qwen/Qwen3-32BB", inf, Reply(500)))
        assert open_model("Qwen/Qwen3-32BB", access=Access(refresh=True, say=said.append)).layers
    assert isinstance(denied, DeniedError)
    assert isinstance(missing, MissingError)
    assert not any("near:" in str(each) for each in (denied, missing, *said))


def test_a_name_like_no_other_has_no_near_names() -> None:
    """Nothing is said rather than anything."""
    assert not near_in(refused("zzzzzzzz/xxxxxxxxxx", offline=True))


@given(
    st.text(max_size=300),
    st.dictionaries(st.text(max_size=30).map(str.lower), st.text(max_size=30), max_size=9),
)
def test_the_closest_are_few_and_each_once(name: str, spellings: dict[str, str]) -> None:
    """Whatever is asked for: known names alone, none twice, and the name itself first where it is there."""
    found = closest(name, spellings)
    assert len(found) <= MOST_NEAR
    assert len(set(found)) == len(found)
    assert set(found) <= set(spellings.values())
    if name.lower() in spellings and name:
        assert found[0] == spellings[name.lower()]
