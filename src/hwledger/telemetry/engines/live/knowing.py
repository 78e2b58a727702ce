"""Which engine answers at a place."""

from hwledger.library.fields import mapping
from hwledger.library.serving.detect import KNOWN
from hwledger.library.serving.replies import Server
from hwledger.telemetry.engines.others import is_mlx_models

_MLX_HEALTH = ({"status": "ok"}, {"status": "unavailable"})


def is_still(server: Server, engine: str) -> bool:
    """Whether the engine that was identified is the one that answers, by the answers that it is known by."""
    ways = [known for known in KNOWN if known.engine == engine]
    return any(known.matches(server) for known in ways)


def identify(server: Server, process: str = "") -> str | None:
    """Return the engine that answers, by what it alone answers; ``None`` where it is none that is known.

    Args:
        server: where it answers.
        process: the engine that its process is, which is believed where its answers do not tell it.

    Raises:
        UnreachableError: nothing answers.
        DeniedError: it wants a key.
    """
    for known in KNOWN:
        if known.matches(server):
            return known.engine
    if is_mlx_models(server.value("/v1/models")) and dict(mapping(server.value("/health"))) in _MLX_HEALTH:
        return "mlx"
    return process or None
