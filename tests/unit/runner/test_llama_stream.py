"""The streams of llama-server: as real builds write them, and as nobody should."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwledger.errors import EngineError, HwledgerError, UsageError
from hwledger.runner.engine import Ask, Done, Ending, Event, Piece, Progress, Timings
from hwledger.runner.llama_stream import CHAT, COMPLETION, SOURCE, question, read_events

pytestmark = pytest.mark.requirement("FR-RUN-LLAMACPP")
TIMED = {
    "cache_n": 1,
    "prompt_n": 3,
    "prompt_per_second": 40.0,
    "predicted_n": 2,
    "predicted_per_second": 20.5,
}
TIMINGS = Timings(3, 1, 2, 40.0, 20.5, SOURCE)


def lines(*events: object) -> list[bytes]:
    """Return events as a server sends them, with the empty lines and comments between them."""
    return [
        line for event in events for line in (b": ping\n", f"data: {json.dumps(event)}\n".encode(), b"\n")
    ]


def read(*events: object) -> list[Event]:
    """Return what a stream says."""
    return list(read_events([*lines(*events), b"data: [DONE]\n"]))


def test_a_completion_is_read_as_a_real_server_sends_it() -> None:
    """Progress with what was cached, pieces, and one end with timings (llama.cpp b11549)."""
    found = read(
        {"content": "", "stop": False, "prompt_progress": {"total": 4, "cache": 1, "processed": 0}},
        {"content": "", "stop": False, "prompt_progress": {"total": 4, "cache": 1, "processed": 3}},
        {"content": " a", "stop": False}, {"content": "", "stop": False}, {"content": " b", "stop": False},
        {"content": "", "stop": True, "stop_type": "limit", "timings": TIMED},
    )  # fmt: skip
    assert found == [
        Progress(1, 4), Progress(4, 4), Piece(" a"), Piece(" b"), Done(Ending.LENGTH, TIMINGS),
    ]  # fmt: skip


def test_a_chat_is_read_as_a_real_server_sends_it() -> None:
    """The end comes before the timings; what the model thinks is told apart."""
    found = read(
        {"choices": [{"finish_reason": None, "delta": {"role": "assistant", "content": None}}]},
        {"choices": [{"finish_reason": None, "delta": {"reasoning_content": "hm"}}]},
        {"choices": [{"finish_reason": None, "delta": {"content": "Hi"}}]},
        {"choices": [{"finish_reason": "stop", "delta": {}}]},
        {"choices": [], "timings": TIMED},
    )
    assert found == [Piece("hm", thinking=True), Piece("Hi"), Done(Ending.END, TIMINGS)]


@pytest.mark.parametrize(
    ("said", "ending"),
    [("eos", Ending.END), ("word", Ending.END), ("limit", Ending.LENGTH), ("new", Ending.END)],
)
def test_every_end_has_a_reason(said: str, ending: Ending) -> None:
    """A reason that is not known is the model's own end; without timings there are none."""
    assert read({"content": "", "stop": True, "stop_type": said}) == [Done(ending)]


def test_errors_are_sentences() -> None:
    """A prompt that is too long is a question of usage; everything else is the engine's, in its own words."""
    for line in (b'data: {"error": %s}\n', b"error: %s\n"):
        too_long = {"type": "exceed_context_size_error", "message": "600 tokens exceed 512"}
        with pytest.raises(UsageError, match=r"600 tokens exceed 512.*--context"):
            list(read_events([line.replace(b"%s", json.dumps(too_long).encode())]))
        with pytest.raises(EngineError, match="refuses the request: out of slots"):
            list(read_events([line.replace(b"%s", b'{"message": "out of\\nslots"}')]))


def test_an_answer_that_breaks_off_is_an_error() -> None:
    """Pieces that came are given; then it is said that the rest is missing."""
    stream = read_events(lines({"content": " a", "stop": False}))
    assert next(stream) == Piece(" a")
    with pytest.raises(EngineError, match="broke off"):
        next(stream)


@pytest.mark.parametrize("bad", [0, -1, True, "fast", None, float("inf"), float("nan")])
def test_no_speed_is_made_up(bad: object) -> None:
    """What is no positive number is no speed, and neither is one over no tokens."""
    (done,) = read({"content": "", "stop": True, "timings": {**TIMED, "prompt_per_second": bad}})
    assert isinstance(done, Done)
    assert done.timings
    assert done.timings.prefill_tokens_per_second is None
    assert done.timings.decode_tokens_per_second == 20.5
    (done,) = read({"content": "", "stop": True, "timings": {**TIMED, "predicted_n": 0}})
    assert isinstance(done, Done)
    assert done.timings
    assert done.timings.decode_tokens_per_second is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["content", "stop", "choices", "delta", "timings", "prompt_progress", "error",
                         "processed", "total", "cache", "finish_reason", "prompt_n", "predicted_n"]),
        inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(JSON.map(lambda v: b"data: " + json.dumps(v).encode()), st.binary(max_size=40))))
def test_nothing_that_is_sent_is_more_than_a_sentence(sent: list[bytes]) -> None:
    """Any stream ends in one Done or in an error of hwledger's own."""
    try:
        events = list(read_events(sent))
    except HwledgerError:
        return
    assert [isinstance(event, Done) for event in events] == [False] * (len(events) - 1) + [True]


def test_questions_say_what_was_asked() -> None:
    """A text goes to /completion, a message to the chat; a limit and a seed only where there are any."""
    path, body = question(Ask(prompt="x", temperature=0.0))
    assert (path, body["prompt"], body["n_predict"], body["stream"]) == (COMPLETION, "x", -1, True)
    assert "seed" not in body
    path, body = question(Ask(prompt="x", chat=True, max_tokens=5, seed=7))
    assert path == CHAT
    assert body["messages"] == [{"role": "user", "content": "x"}]
    assert (body["max_tokens"], body["seed"]) == (5, 7)
    assert "max_tokens" not in question(Ask(prompt="x", chat=True))[1]
