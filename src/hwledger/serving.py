"""The use case of serving: an engine kept up at a port, started again where it ends by itself."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from hwledger.errors import EngineError, UsageError
from hwledger.runner.engine import Ability, Limits, Served, Serves
from hwledger.running import Prepared

PORT: Final = 8080
"""What llama.cpp's own server listens on."""
LOOK_S: Final = 0.5
RESTARTS: Final = 3
"""How often in a row it is started again."""
STEADY_S: Final = 600.0
"""One that served as long as this before it ended is counted from the beginning again."""
BACK_OFF_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Up:
    """It answers."""

    running: Served


@dataclass(frozen=True, slots=True)
class Down:
    """It ended by itself: why, and after how many seconds it is started again."""

    why: str
    again_s: float


def serve(
    prepared: Prepared,
    port: int,
    limits: Limits | None = None,
    *,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Up | Down]:
    """Yield each time that an engine begins to answer, or ended by itself; closing the iterator ends it.

    It is started again up to ``RESTARTS`` times in a row, each time after twice the pause.

    Args:
        prepared: what is served.
        port: of loopback; 0: any that is free, which stays the same when it is started again.
        limits: how long it may take.
        pause: waits so many seconds; exchangeable in tests.
        clock: tells seconds; likewise.

    Raises:
        UsageError: the engine serves nobody, or the port is taken.
        EngineError: it does not start, or ended by itself too often.
    """
    engine = prepared.engine
    if Ability.SERVE not in engine.abilities or not isinstance(engine, Serves):
        raise UsageError(
            f"{engine.title} answers hwledger alone and serves nobody; hwledger run runs a model"
        )
    tries = 0
    while True:
        begun = clock()
        with engine.serve(prepared.plan, port, limits) as running:
            yield Up(running)
            while not running.wait(LOOK_S):
                pass
            failure = running.failure()
            port = int(running.address.rpartition(":")[2])
        tries = 1 if clock() - begun > STEADY_S else tries + 1
        if tries > RESTARTS:
            raise EngineError(f"{failure}; it was started again {RESTARTS} times and is given up")
        yield Down(str(failure), BACK_OFF_S * 2 ** (tries - 1))
        pause(BACK_OFF_S * 2 ** (tries - 1))
