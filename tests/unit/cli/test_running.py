"""What is shown of a run: the answer apart from everything else, and one document a line."""

import json

import pytest

from hwledger.cli.running import shown_as
from hwledger.runner.engine import Done, Ending, Event, Piece, Progress, Timings
from hwledger.runner.fake import FakeRunning
from support.plans import small_plan

pytestmark = pytest.mark.requirement("FR-RUN-CLI")
TIMINGS = Timings(3, 1, 2, 40.0, None, "timings", 0.5)
EVENTS: list[Event] = [
    Progress(0, 4), Progress(4, 4), Piece("hm", thinking=True), Piece("Hi"), Piece(" there"),
    Done(Ending.END, TIMINGS),
]  # fmt: skip


def test_the_answer_alone_is_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """What the model thinks, and how long it took, is on stderr, each on a line of its own."""
    shown = shown_as(as_json=False)
    for event in EVENTS:
        shown.event(event)
    out, err = capsys.readouterr()
    assert out == "Hi there\n"
    assert err.splitlines() == [
        "hm",
        "hwledger: 3 tokens of prompt at 40 tokens/s, 1 from the cache, 2 of answer, the first after 0.5 s",
    ]


def test_an_answer_that_ends_its_line_gets_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    """No empty line is added, and nothing is made of no answer."""
    shown = shown_as(as_json=False)
    for event in (Piece("Hi\n"), Done(Ending.CANCELLED)):
        shown.event(event)
    assert capsys.readouterr() == ("Hi\n", "")


def test_an_answer_that_breaks_off_ends_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    """What is said next begins on a line of its own; JSON has no event for it."""
    for as_json, out in ((False, "Hi\n"), (True, "")):
        shown = shown_as(as_json=as_json)
        shown.event(Piece("Hi"))
        shown.broken_off()
        assert capsys.readouterr().out.endswith(out)


def test_every_event_is_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Each has its kind and its figures; what was not timed is null."""
    shown = shown_as(as_json=True)
    shown.ready(FakeRunning(small_plan(), pid=7, notes=("a note",)))
    for event in EVENTS:
        shown.event(event)
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in found] == [
        "ready", "progress", "progress", "token", "token", "token", "done",
    ]  # fmt: skip
    assert (found[0]["pid"], found[0]["log"], found[0]["notes"]) == (7, None, ["a note"])
    assert (found[3]["thinking"], found[4]["text"]) == (True, "Hi")
    assert found[-1]["timings"]["decode_tokens_per_second"] is None
