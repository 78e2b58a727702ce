"""The parts of sidecars that need no process: lines, steps, pieces of text, and when to start again."""

import io
import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.errors import EngineError, UsageError
from hwledger.runner.backoff import Backoff
from hwledger.runner.engine import Installation, NotInstalled, engine
from hwledger.runner.mistral_rs import MistralRs
from hwledger.runner.mlx import Mlx
from hwledger.runner.openai_http import OpenAiHttp
from hwledger.runner.sidecar import protocol
from hwledger.runner.sidecar.client import result_of
from hwledger.runner.sidecar.mistral_backend import NO_TEMPLATE, _template
from hwledger.runner.sidecar.pace import AIM_S, FIRST, Pace
from hwledger.runner.sidecar.pieces import Pieces
from hwledger.runner.sidecar.protocol import WrongMessageError, decode, lines
from support.plans import small_plan

pytestmark = pytest.mark.requirement("FR-RUN-SIDECAR")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=6,
)  # fmt: skip


class Trickle(io.RawIOBase):
    """A file that gives what it holds in pieces of given sizes."""

    def __init__(self, content: bytes, sizes: list[int]) -> None:
        self._content, self._sizes = content, sizes

    def read(self, size: int = -1) -> bytes:
        """Return the next piece."""
        del size
        at = self._sizes.pop(0) if self._sizes else len(self._content) or 1
        found, self._content = self._content[:at], self._content[at:]
        return found


@given(
    st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=5),
    st.lists(st.integers(1, 9), max_size=40),
)
def test_messages_come_as_they_were_said(said: list[dict[str, object]], sizes: list[int]) -> None:
    """However the bytes are cut on the way, whatever the messages hold."""
    sent = [{"jsonrpc": "2.0", **each, "method": "m"} for each in said]
    sent = [each for each in sent if each["jsonrpc"] == "2.0"]
    whole = b"".join(protocol.encode(each) for each in sent)
    assert [decode(line) for line in lines(Trickle(whole, sizes))] == sent  # type: ignore[arg-type]


@given(st.binary(max_size=200), st.lists(st.integers(1, 20), max_size=20))
def test_no_bytes_raise_anything_else(noise: bytes, sizes: list[int]) -> None:
    """Noise is a wrong message or a message, and never another error."""
    codes = {-32700, -32600}
    for line in lines(Trickle(noise, sizes), longest=50):  # type: ignore[arg-type]
        found: object = "2.0"
        try:
            found = decode(line)["jsonrpc"]
        except WrongMessageError as error:
            codes.add(int(error.code))
        assert found == "2.0"
    assert codes == {-32700, -32600}


def test_a_line_that_is_too_long_is_passed_over() -> None:
    """It is told as such once and takes no memory; the next is read, and one without an end is none."""
    file = Trickle(b"x" * 1000 + b"\nshort\n\n" + b"y" * 11 + b"\nlost", [7] * 200)
    assert list(lines(file, longest=10)) == [None, b"short", None]  # type: ignore[arg-type]


def test_what_json_has_no_word_for_is_neither_said_nor_heard() -> None:
    """NaN is no number here, on either side."""
    with pytest.raises(ValueError, match="JSON compliant"):
        protocol.result(1, {"x": float("nan")})
    with pytest.raises(WrongMessageError):
        decode(b'{"jsonrpc": "2.0", "id": 1, "result": {"x": NaN}}')


@pytest.mark.parametrize(
    ("error", "kind"),
    [({"code": -32001, "message": "too\nlong"}, UsageError), ({"code": -32000, "message": "x"}, EngineError),
     ("nonsense", EngineError), (None, EngineError)],
)  # fmt: skip
def test_an_error_is_one_sentence(error: object, kind: type[Exception]) -> None:
    """What can be asked otherwise is a question of usage, all else the engine's failure."""
    with pytest.raises(kind) as told:
        result_of("it", {"error": error})
    assert "\n" not in str(told.value)


@given(st.integers(1, 4096), st.floats(1e-5, 1.0))
def test_steps_find_a_length_that_can_be_given_up(most: int, seconds_per_token: float) -> None:
    """On a machine of any speed steps soon take no longer than aimed at, unless they are the shortest."""
    pace, taken = Pace(most), []
    for _ in range(30):
        taken.append(pace.step(1 << 30))
        pace.took(taken[-1], taken[-1] * seconds_per_token)
    assert max(taken) <= max(most, FIRST if most > FIRST else 1)
    assert taken[-1] * seconds_per_token <= AIM_S or taken[-1] <= min(4, most) or taken[-2] < taken[-1]
    assert all(later <= 2 * sooner for sooner, later in pairwise(taken))
    assert Pace(most).step(1) == 1


@given(st.text(min_size=1, max_size=40), st.text(max_size=10))
def test_pieces_add_up_to_the_text(text: str, prompt: str) -> None:
    """Of tokens that are single bytes no half character comes out, and all of it in the end."""
    said = Pieces(lambda tokens: bytes(tokens).decode("utf-8", "replace"), list(prompt.encode()[-6:]))
    if "\ufffd" in text or prompt:
        said = Pieces(lambda tokens: bytes(tokens).decode("utf-8", "replace"), [])
    found = [said.add(byte) for byte in text.encode()]
    if "\ufffd" not in text:
        assert not any("\ufffd" in piece for piece in found)
        assert "".join([*found, said.rest()]) == text


def test_a_crash_is_followed_by_longer_and_longer_pauses() -> None:
    """0.5 s, 1 s, 2 s, 4 s, then it is given up; what was long ago is of no matter."""
    told = Backoff()
    assert told.wait_s(0.0) == 0.0
    pauses = []
    for _ in range(5):
        told.crashed(100.0)
        pauses.append(told.wait_s(100.0))
    assert pauses == [0.5, 1.0, 2.0, 4.0, None]
    assert told.wait_s(100.0 + told.forget_s) == 0.0


def test_a_template_lets_bare_prompts_through(tmp_path: Path) -> None:
    """A model's own template is kept beside the way for bare prompts; without one chats are refused."""
    assert _template(tmp_path)[0] is False
    assert NO_TEMPLATE in _template(tmp_path)[1]
    own = "{% for m in messages %}{{ m.role }}{% endfor %}"
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": own}))
    found, template = _template(tmp_path)
    assert found
    assert own in template
    assert template.startswith("{%- if messages[0]['role'] == 'raw' -%}{{- messages[0]['content'] -}}")


@pytest.mark.requirement("FR-RUN-MLX", "FR-RUN-MISTRALRS")
@pytest.mark.parametrize("runner", [Mlx(), MistralRs()])
def test_a_plan_of_another_engine_is_refused(runner: Mlx | MistralRs) -> None:
    """The sentence says which engine it has to be planned for."""
    with pytest.raises(UsageError, match=r"--engine mlx|GGUF"):
        runner.start(small_plan())


@pytest.mark.requirement("FR-RUN-MLX", "FR-RUN-MISTRALRS")
@pytest.mark.parametrize("name", ["mlx", "mistral_rs"])
def test_what_is_not_installed_says_how_it_is(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The engine is said to be absent, with the command of the extra that brings it."""
    monkeypatch.setattr(f"hwledger.runner.{name}.package", lambda _: "")
    found = engine(name.replace("_", ".")).find()
    assert isinstance(found, NotInstalled)
    extra = name.replace("mistral_rs", "mistralrs")
    assert found.install == f"pip install 'hwledger[{extra}]'"
    assert "is not installed" in found.why


@pytest.mark.requirement("FR-RUN-MLX")
def test_mlx_without_a_back_end_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Linux the bare package computes with nothing: that is said, and one with CUDA tells it."""
    monkeypatch.setattr("sys.platform", "linux")
    there = {"mlx": "1", "mlx-lm": "2"}
    monkeypatch.setattr("hwledger.runner.mlx.package", lambda name: there.get(name, ""))
    found = Mlx().find()
    assert isinstance(found, NotInstalled)
    assert "mlx[cpu]" in found.why
    there["mlx-cuda-13"] = "1"
    found = Mlx().find()
    assert isinstance(found, Installation)
    assert found.devices == ("CUDA",)


@pytest.mark.requirement("FR-RUN-ENGINE")
def test_an_address_is_an_engine() -> None:
    """It is found by itself; where nobody answers, that is said with what to do; what is none is refused."""
    found = engine("http://127.0.0.1:9?model=x")
    assert found == OpenAiHttp("http://127.0.0.1:9", "x")
    with pytest.raises(UsageError):
        engine("http://")
