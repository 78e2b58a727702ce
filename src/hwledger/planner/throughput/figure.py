"""What is asked of the speed estimate and what it answers; one shape for every engine."""

from dataclasses import dataclass
from typing import Final

from hwledger.errors import UsageError
from hwledger.planner.memory import Basis
from hwledger.planner.throughput.speculation import Speculation

MOST_TOKENS: Final = 1 << 40
MOST_REQUESTS: Final = 1 << 20
ANSWER_SHARE: Final = 4
"""A context that nobody divided is one part answer to three parts prompt …"""
ANSWER_TOKENS: Final = 512
"""… but the answer is at most this long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Who asks what.

    Attributes:
        prompt_tokens: new tokens that one request has prefilled.
        output_tokens: tokens of one answer; at least 1.
        concurrency: requests at the same time.
        requests_per_second: arrival rate; ``None``: ``concurrency`` users who ask again at once.
        cached_tokens: tokens of a request that are in the cache before its prompt: earlier turns,
            a shared prefix.
        speculation: how many tokens are drafted, and how many of them are taken on such texts; ``None``: not
            stated, and what an engine drafts does not count.
    """

    prompt_tokens: int
    output_tokens: int = ANSWER_TOKENS
    concurrency: int = 1
    requests_per_second: float | None = None
    cached_tokens: int = 0
    speculation: Speculation | None = None

    def __post_init__(self) -> None:
        within = (
            0 <= self.prompt_tokens <= MOST_TOKENS
            and 1 <= self.output_tokens <= MOST_TOKENS
            and 0 <= self.cached_tokens <= MOST_TOKENS
        )
        if not within:
            raise UsageError(
                "a request has 0 to 2**40 tokens of prompt and of cache, and 1 to 2**40 of answer"
            )
        if not 1 <= self.concurrency <= MOST_REQUESTS:
            raise UsageError(f"{self.concurrency} requests at once cannot be planned; give 1 to 1,048,576")
        if self.requests_per_second is not None and not 0 < self.requests_per_second <= MOST_REQUESTS:
            raise UsageError(
                "the arrival rate is no positive number of requests per second; give one like 2.5"
            )

    @property
    def mean_depth(self) -> float:
        """Tokens in the cache while an answer is made, on the average over its tokens."""
        return self.cached_tokens + self.prompt_tokens + self.output_tokens / 2


def traffic_of(context_tokens: int, concurrency: int) -> Traffic:
    """Return the traffic that a bare context stands for: it is full when the answer ends."""
    answer = max(1, min(ANSWER_TOKENS, context_tokens // ANSWER_SHARE))
    return Traffic(
        prompt_tokens=max(0, context_tokens - answer), output_tokens=answer, concurrency=max(1, concurrency)
    )


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure with its 80 % interval.

    Attributes:
        value: best figure.
        low, high: ends of the 80 % interval.
        basis: how far to trust it.
        source: where it comes from.
    """

    value: float
    low: float
    high: float
    basis: Basis
    source: str

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.value <= self.high:
            raise ValueError(f"a figure of {self.value} cannot lie in {self.low} … {self.high}")

    def scaled(self, factor: float) -> "Figure":
        """Return the figure in another unit, or over ``factor`` alike parts."""
        return Figure(self.value * factor, self.low * factor, self.high * factor, self.basis, self.source)

    def inverse(self) -> "Figure":
        """Return seconds per token of tokens per second, and the other way round."""
        return Figure(1 / self.value, 1 / self.high, 1 / self.low, self.basis, self.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """The speed of a plan under some traffic.

    Attributes:
        traffic: what was asked.
        prefill_tokens_per_second: of one prompt.
        decode_tokens_per_second: of one user, on the average over an answer.
        aggregate_tokens_per_second: answer tokens of all users together.
        ttft_seconds: from the request to its first token.
        tpot_seconds: between two tokens of one answer: (total - TTFT) / (tokens - 1).
        limits: what bounds a figure, by its name: ``memory bandwidth``, ``compute``, ``links`` …
        warnings: speed traps, in sentences.
        unknown: why a figure is absent, in sentences.
        corrected: figures that measured runs of the user's own correct, with the number of those runs.

    A figure that is not known is ``None``, and ``unknown`` says why.
    """

    traffic: Traffic
    prefill_tokens_per_second: Figure | None = None
    decode_tokens_per_second: Figure | None = None
    aggregate_tokens_per_second: Figure | None = None
    ttft_seconds: Figure | None = None
    tpot_seconds: Figure | None = None
    limits: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    corrected: tuple[tuple[str, int], ...] = ()


FIGURES: Final = (
    "prefill_tokens_per_second",
    "decode_tokens_per_second",
    "aggregate_tokens_per_second",
    "ttft_seconds",
    "tpot_seconds",
)
"""The figures of ``Throughput``, in the order in which they are shown."""
