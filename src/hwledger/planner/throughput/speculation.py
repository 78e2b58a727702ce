"""Speculative decoding: what drafting tokens gains at a stated acceptance.

A round drafts g tokens and verifies them in one step of the model; with an acceptance a per token
(independent) it yields (1 - a^(g+1)) / (1 - a) tokens on the average (Leviathan et al. 2023, arXiv
2211.17192, equation 1). The cost of a draft token is stated as a share of the model's own step: 0 for
n-grams, about one layer's share for an MTP head, the draft model's step over the model's for a draft model.
A step of g + 1 tokens reads the weights once.
"""

from dataclasses import dataclass

from hwledger.errors import UsageError

MOST_DRAFTED = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Speculation:
    """Drafting as the user states it.

    Attributes:
        acceptance: probability that a drafted token is taken, 0 to 1.
        drafted: tokens drafted per round.
        draft_share: seconds of one drafted token over the seconds of one step of the model.
        source: where the acceptance is from.
    """

    acceptance: float
    drafted: int
    draft_share: float = 0.0
    source: str = "acceptance stated by the user"

    def __post_init__(self) -> None:
        if not 0 <= self.acceptance <= 1:
            raise UsageError(f"an acceptance of {self.acceptance} is no probability; give one from 0 to 1")
        if not 1 <= self.drafted <= MOST_DRAFTED:
            raise UsageError(
                f"{self.drafted} drafted tokens a round cannot be timed; give 1 to {MOST_DRAFTED}"
            )
        if not 0 <= self.draft_share <= 1:
            raise UsageError("a drafted token costs between 0 and 1 steps of the model; give its share")

    @property
    def tokens_per_round(self) -> float:
        """Tokens that one round yields on the average, the model's own included."""
        if self.acceptance == 1:
            return self.drafted + 1.0
        return (1 - self.acceptance ** (self.drafted + 1)) / (1 - self.acceptance)

    def seconds_per_token(self, step: float, verifying: float) -> float:
        """Return the seconds of one token.

        Args:
            step: seconds of one step of the model with one token.
            verifying: seconds of one step with ``drafted`` + 1 tokens.
        """
        return (self.drafted * self.draft_share * step + verifying) / self.tokens_per_round
