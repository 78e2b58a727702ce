"""The contract of the source port; every installed source is held to it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from hwledger.errors import MissingError, OfflineError, UnreachableError, UsageError
from hwledger.library.access import Access
from hwledger.library.source import Source, installed_sources, open_model
from support import tiny
from support.checkpoints import put
from support.engine_servers import Vllm
from support.hub_repo import Repo
from support.hub_server import HubServer
from support.lmstudio import put_home
from support.ollama import put_model
from support.web_server import WebServer, file

pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("FR-SRC-PORT")]


@dataclass(frozen=True)
class Place:
    """Where a source finds the tiny model.

    Attributes:
        good: a reference to it.
        missing: a reference of the right shape with nothing behind it; empty: there is no such shape.
        gone: a reference to a place where nobody listens; empty: no server is asked.
        remote: a network is needed.
    """

    good: str
    missing: str = ""
    gone: str = ""
    remote: bool = False


Make = Callable[[Path, pytest.MonkeyPatch, ExitStack], Place]


def _gguf(folder: Path, monkeypatch: pytest.MonkeyPatch, stack: ExitStack) -> Place:
    del monkeypatch, stack
    (folder / "tiny.gguf").write_bytes(tiny.gguf_file())
    return Place(str(folder / "tiny.gguf"))


def _file(folder: Path, monkeypatch: pytest.MonkeyPatch, stack: ExitStack) -> Place:
    del monkeypatch, stack
    put(folder, tiny.plain(2))
    return Place(str(folder), str(folder / "none.json"))


def _catalogue(folder: Path, monkeypatch: pytest.MonkeyPatch, stack: ExitStack) -> Place:
    del folder, monkeypatch, stack
    return Place("Qwen/Qwen3-32B")


def _web(folder: Path, monkeypatch: pytest.MonkeyPatch, stack: ExitStack) -> Place:
    del folder, monkeypatch
    server = stack.enter_context(WebServer({"/m/tiny.gguf": file(tiny.gguf_file())}))
    gone = "http://127.0.0.1:9/m/x.gguf"
    return Place(f"{server.url}/m/tiny.gguf", f"{server.url}/m/none.gguf", gone, remote=True)


def _hf(folder: Path, monkeypatch: pytest.MonkeyPatch, stack: ExitStack) -> Place:
    del folder
    server = stack.enter_context(HubServer([Repo("org/tiny", tiny.plain())]))
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    return Place("org/tiny", "org/none", "org/tiny", remote=True)


def _ollama(folder: Path, monkeypatch: pytest.MonkeyPatch, stack: ExitStack) -> Place:
    del stack
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    monkeypatch.setenv("OLLAMA_MODELS", str(folder))
    put_model(folder, "registry.ollama.ai/library/tiny/1b", [("model", tiny.gguf_file())])
    return Place("tiny:1b", "tiny:2b")


def _lmstudio(folder: Path, monkeypatch: pytest.MonkeyPatch, stack: ExitStack) -> Place:
    del stack
    monkeypatch.setenv("LMSTUDIO_BASE_URL", "127.0.0.1:9")
    monkeypatch.setenv("HOME", str(folder))
    put(put_home(folder) / "maker/Tiny-GGUF", {"Tiny-F16.gguf": tiny.gguf_file()})
    return Place("maker/Tiny-GGUF", "tiny@q8_0")


def _server(folder: Path, monkeypatch: pytest.MonkeyPatch, stack: ExitStack) -> Place:
    del monkeypatch
    put(folder, tiny.plain())
    server = stack.enter_context(Vllm())
    server.answers["/v1/models"]["data"][0]["root"] = str(folder)
    return Place(server.url, gone="http://127.0.0.1:13")


PLACES: dict[str, Make] = {
    "gguf": _gguf, "file": _file, "catalogue": _catalogue, "web": _web, "hf": _hf, "ollama": _ollama,
    "lmstudio": _lmstudio, "server": _server,
}  # fmt: skip


@pytest.fixture(params=PLACES)
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of each source."""
    return str(request.param)


@pytest.fixture
def place(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Make the tiny model where the source looks."""
    with ExitStack() as stack:
        yield PLACES[name](tmp_path, monkeypatch, stack)


@pytest.fixture
def source(name: str) -> Source:
    """Return the source, found through its entry point."""
    return next(source for source in installed_sources() if source.name == name)


def test_every_installed_source_is_held_to_the_contract() -> None:
    """No source is installed that is not tried here."""
    assert {source.name for source in installed_sources()} == set(PLACES)


def test_names_are_prefixes_and_precedences_decide() -> None:
    """Names are plain words, and no two sources share a place in the order."""
    sources = installed_sources()
    assert all(source.name.isidentifier() for source in sources)
    assert len({source.precedence for source in sources}) == len(sources)


def test_a_good_reference_opens_with_and_without_its_prefix(source: Source, place: Place) -> None:
    """The candidates of a reference open, and the resolver reaches the same model by the prefix."""
    found = list(source.candidates(place.good))
    assert len(found) == 1
    spec = source.open(found[0], Access())
    named = open_model(f"{source.name}:{place.good}")
    assert spec.layers
    assert spec.source
    assert (named.id, named.layers, named.tensors) == (spec.id, spec.layers, spec.tensors)


def test_it_says_what_was_read(source: Source, place: Place) -> None:
    """Every model comes with where it was read, and a remote one with what that took."""
    reading = source.open(place.good, Access()).reading
    assert reading
    assert reading.origin
    assert (reading.requests > 0) == place.remote


@pytest.mark.parametrize("text", ["", " ", "\0", "no such model anywhere", "x" * 5000, "::", "{}"])
def test_nonsense_is_not_claimed(source: Source, place: Place, text: str) -> None:
    """Text that cannot be meant for a source gives no candidates, cheaply and without an error."""
    del place
    assert not list(source.candidates(text))
    assert isinstance(list(source.nearest(text)), list)


def test_what_is_not_there_is_said(source: Source, place: Place) -> None:
    """A reference of the right shape with nothing behind it ends in one sentence."""
    if not place.missing:
        assert not list(source.candidates("org/none"))
        return
    with pytest.raises(MissingError) as caught:
        source.open(list(source.candidates(place.missing))[0], Access())  # noqa: RUF015 - candidates may raise
    assert "\n" not in str(caught.value)


def test_offline_nothing_is_asked(source: Source, place: Place) -> None:
    """What is on this machine does not care; the rest says that it may not ask, and what it remembers."""
    if not place.remote:
        assert source.open(place.good, Access(offline=True)).layers
        return
    with pytest.raises(OfflineError):
        source.open(place.good, Access(offline=True))
    fresh = source.open(place.good, Access())
    again = source.open(place.good, Access(offline=True))
    assert again.layers == fresh.layers
    assert again.reading
    assert again.reading.kept_s is not None


def test_neither_what_is_kept_nor_the_network_is_a_contradiction(source: Source, place: Place) -> None:
    """Offline and anew: what is on this machine is read again, the rest refused, kept or not."""
    both = Access(offline=True, refresh=True)
    if not place.remote:
        reading = source.open(place.good, both).reading
        assert reading
        assert reading.kept_s is None
        return
    with pytest.raises(OfflineError):
        source.open(place.good, both)
    source.open(place.good, Access())
    with pytest.raises(UsageError, match=r"is remembered, --refresh forbids .* --offline to ask anew"):
        source.open(place.good, both)


def test_a_server_that_is_gone_is_unreachable(
    source: Source, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listening ends in one sentence with exit code 5."""
    if not place.gone:
        pytest.skip("this source asks no server that it was not told of")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UnreachableError, match="cannot be reached"):
        source.open(place.gone, Access())


def test_the_order_follows_the_settings_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub of one's own is asked before the catalogue while it is set, and not after."""

    def before_the_catalogue() -> bool:
        names = [source.name for source in installed_sources()]
        return names.index("hf") < names.index("catalogue")

    assert not before_the_catalogue()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert before_the_catalogue()
    monkeypatch.delenv("HF_ENDPOINT")
    assert not before_the_catalogue()
