"""Commands: a closed list, under numbers that only grow, delivered at least once, answered once."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hwledger.errors import ConflictError, MalformedError, MissingError, UnknownOptionError, UsageError
from hwledger.fleet import commands
from hwledger.fleet.context import Fleet
from hwledger.fleet.verbs import check_order, verbs
from hwledger.fleet.wire.reports import RESULTS, Ack
from hwledger.fleet.wire.schemas import check
from support.reporting import A, B, Clock, make_fleet, told

pytestmark = pytest.mark.requirement("FR-FLEET-COMMANDS")


@pytest.fixture
def clock() -> Clock:
    """Return a clock that is turned by hand."""
    return Clock()


@pytest.fixture
def fleet(tmp_path: Path, clock: Clock) -> Fleet:
    """Return a fleet with the hosts A and B."""
    return make_fleet(tmp_path, clock)


def issue(fleet: Fleet, host: str = A, ttl_seconds: int = 60, verb: str = "probe", **arguments: Any) -> str:
    """Tell a host something."""
    return commands.issue(fleet, host, verb, arguments, ttl_seconds=ttl_seconds, actor="user:anna")


def test_the_life_of_a_command(fleet: Fleet) -> None:
    """Issued, delivered once on record however often it is fetched, answered once."""
    woken: list[int] = []
    fleet.live.wait(A, lambda: woken.append(1))
    command = issue(fleet, wait_seconds=5)
    assert woken == [1]
    for _ in range(3):
        (found,) = commands.deliver(fleet, A, 0)
        assert (found.id, found.verb, found.arguments, found.fence) == (
            command,
            "probe",
            {"wait_seconds": 5},
            1,
        )
    assert commands.deliver(fleet, A, 1) == commands.deliver(fleet, B, 0) == []
    for _ in range(3):
        commands.acknowledge(fleet, A, command, Ack(1, "done", "8 devices"))
    assert [name for name, _ in told(fleet)] == ["command.issued", "command.delivered", "command.acked"]
    (kept,) = commands.commands(fleet, A)
    assert (kept.state, kept.result, kept.detail, kept.actor) == ("acked", "done", "8 devices", "user:anna")
    assert commands.deliver(fleet, A, 0) == []


def test_fences_grow_for_each_host(fleet: Fleet) -> None:
    """Each host has its own numbers, from 1, and none twice."""
    for _ in range(3):
        issue(fleet, A)
        issue(fleet, B)
    assert [one.fence for one in commands.deliver(fleet, A, 0)] == [1, 2, 3]
    assert [one.fence for one in commands.deliver(fleet, B, 1)] == [2, 3]


def test_what_cannot_be_ordered(fleet: Fleet) -> None:
    """A strange verb, other arguments, a strange host, one that was banned, a time without bounds."""
    with pytest.raises(UnknownOptionError, match="verb"):
        issue(fleet, verb="sh")
    with pytest.raises(MalformedError, match="wait_seconds"):
        issue(fleet, wait_seconds=1000)
    with pytest.raises(MalformedError, match="'command'"):
        issue(fleet, command="rm")
    with pytest.raises(MissingError):
        issue(fleet, "nobody")
    for seconds in (0, commands.LONGEST_TTL_SECONDS + 1):
        with pytest.raises(UsageError):
            issue(fleet, ttl_seconds=seconds)
    fleet.store.append([fleet.event("host.banned", f"host/{A}", {"host": A, "reason": "x"})])
    with pytest.raises(UsageError, match="banned"):
        issue(fleet)
    assert [name for name, _ in told(fleet)] == ["host.banned"]


def test_a_command_that_nobody_fetched(fleet: Fleet, clock: Clock) -> None:
    """It is not delivered after its time, and written down as expired, once."""
    issue(fleet, ttl_seconds=60)
    clock.turn(59)
    assert commands.expire(fleet) == 0
    clock.turn(1)
    assert commands.deliver(fleet, A, 0) == []
    assert (commands.expire(fleet), commands.expire(fleet)) == (1, 0)
    assert commands.commands(fleet, A)[0].state == "expired"


def test_an_answer_that_is_late(fleet: Fleet, clock: Clock) -> None:
    """A command that was fetched is waited for; an answer after that still counts: the host knows."""
    command = issue(fleet, ttl_seconds=60)
    commands.deliver(fleet, A, 0)
    clock.turn(61)
    assert commands.expire(fleet) == 0
    clock.turn(commands.ANSWER_SECONDS)
    assert commands.expire(fleet) == 1
    commands.acknowledge(fleet, A, command, Ack(1, "done", ""))
    assert commands.commands(fleet, A)[0].state == "acked"


def test_answers_of_others(fleet: Fleet) -> None:
    """Another host, another fence, a second and different answer: refused."""
    command = issue(fleet)
    with pytest.raises(MissingError):
        commands.acknowledge(fleet, B, command, Ack(1, "done", ""))
    with pytest.raises(ConflictError, match="fence"):
        commands.acknowledge(fleet, A, command, Ack(2, "done", ""))
    commands.acknowledge(fleet, A, command, Ack(1, "failed", ""))
    with pytest.raises(ConflictError, match="failed"):
        commands.acknowledge(fleet, A, command, Ack(1, "done", ""))
    assert commands.commands(fleet, A)[0].result == "failed"


class Orders(RuleBasedStateMachine):
    """Any order of issuing, fetching, answering and waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.fleet = make_fleet(Path(), self.clock)
        self.issued: dict[str, int] = {}
        self.answers: dict[str, str] = {}

    @rule(ttl=st.integers(1, 100))
    def issue(self, ttl: int) -> None:
        """Issue one; its fence is the next."""
        self.issued[issue(self.fleet, ttl_seconds=ttl)] = len(self.issued) + 1

    @rule(after=st.integers(0, 6))
    def deliver(self, after: int) -> None:
        """Fetch: what comes is above the fence, unanswered, in time and in order."""
        found = commands.deliver(self.fleet, A, after)
        fences = [one.fence for one in found]
        assert fences == sorted(set(fences))
        assert all(one.fence == self.issued[one.id] > after for one in found)
        assert all(one.expires > self.clock() and one.id not in self.answers for one in found)

    @rule(number=st.integers(1, 6), result=st.sampled_from(RESULTS))
    def answer(self, number: int, result: str) -> None:
        """Answer one; the first answer stands."""
        for command, fence in self.issued.items():
            if fence == number:
                try:
                    commands.acknowledge(self.fleet, A, command, Ack(fence, result, ""))
                except ConflictError:
                    assert self.answers[command] != result
                else:
                    assert self.answers.setdefault(command, result) == result

    @rule(seconds=st.integers(1, 700))
    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.clock.turn(seconds)
        commands.expire(self.fleet)

    @invariant()
    def each_step_once(self) -> None:
        """Of every command each step is on record at most once, and the answers are those that were given."""
        steps = [(name, data["command"]) for name, data in told(self.fleet)]
        assert len(steps) == len(set(steps))
        kept = commands.commands(self.fleet, A, 1000)
        assert {one.id: one.result for one in kept if one.result} == self.answers
        assert {one.id: one.fence for one in kept} == self.issued


TestOrders = Orders.TestCase
TestOrders.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)

ARGUMENTS = st.dictionaries(
    st.sampled_from(["model", "engine", "context", "concurrency", "step_seconds", "wait_seconds", "x"]),
    st.integers(-2, 1 << 40) | st.sampled_from(["vllm", "Qwen/Qwen3-32B", "", "a b", "mlx"])
    | st.booleans() | st.none() | st.lists(st.integers()) | st.floats(allow_nan=False),
    max_size=4,
)  # fmt: skip


@given(st.sampled_from(sorted(verbs())), ARGUMENTS)
def test_arguments_are_held_as_json_schema_would(verb: str, arguments: dict[str, Any]) -> None:
    """For every verb, the answer is that of a full implementation of JSON Schema."""
    schema = {**verbs()[verb].arguments}
    pattern = schema.get("properties", {}).get("model", {}).get("pattern")
    if pattern:  # over the whole text here, anywhere in it there
        model = {**schema["properties"]["model"], "pattern": f"^(?:{pattern})$"}
        schema = {**schema, "properties": {**schema["properties"], "model": model}}
    whole = not any(isinstance(value, float) for value in arguments.values())  # 1.0 is an integer there
    try:
        check_order(verb, arguments)
    except MalformedError:
        assert not whole or not jsonschema.Draft202012Validator(schema).is_valid(arguments)
    else:
        assert jsonschema.Draft202012Validator(schema).is_valid(arguments)


def test_every_verb_is_described_and_closed() -> None:
    """Schemas are valid, refuse what they do not name, and none takes a command for a shell."""
    for verb in verbs().values():
        jsonschema.Draft202012Validator.check_schema(dict(verb.arguments))
        assert verb.arguments["additionalProperties"] is False
        assert verb.about
    with pytest.raises(ValueError, match="not known"):
        check({"type": "string", "format": "uri"}, "x", "it")


def test_lists_and_lengths() -> None:
    """Elements are held against the schema of elements; the sentence says where."""
    schema = {"type": "array", "maxItems": 2, "items": {"type": "string", "minLength": 1}}
    check(schema, ["a", "b"], "it")
    for wrong, where in ((["a", ""], r"it\[1\]"), (["a"] * 3, "maxItems"), ("a", "type")):
        with pytest.raises(MalformedError, match=where):
            check(schema, wrong, "it")
