"""When a process that crashed may be started again."""

from dataclasses import dataclass, field
from typing import Final

FIRST_S: Final = 0.5
MOST_S: Final = 30.0
TRIES: Final = 5
FORGET_S: Final = 600.0


@dataclass
class Backoff:
    """Waits twice as long after each crash, and gives up after a few within some minutes; reads no clock.

    Attributes:
        first_s, most_s: seconds before the first start again, and at most.
        tries: crashes within ``forget_s`` after which it gives up.
        forget_s: seconds after which a crash is of no matter.
        crashes: when they were.
    """

    first_s: float = FIRST_S
    most_s: float = MOST_S
    tries: int = TRIES
    forget_s: float = FORGET_S
    crashes: list[float] = field(default_factory=list)

    def crashed(self, now: float) -> None:
        """Remember a crash."""
        self.crashes = [*(at for at in self.crashes if now - at < self.forget_s), now]

    def wait_s(self, now: float) -> float | None:
        """Return how long to wait from now on before it is started again; ``None``: it is given up."""
        recent = [at for at in self.crashes if now - at < self.forget_s]
        if not recent:
            return 0.0
        if len(recent) >= self.tries:
            return None
        pause = min(self.most_s, self.first_s * 2.0 ** (len(recent) - 1))
        return max(0.0, recent[-1] + pause - now)
