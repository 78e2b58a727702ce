"""Logs of the server: one JSON object a line, on stderr, without secrets."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from hwledger.fleet.secret import redacted

if TYPE_CHECKING:
    from typing import TextIO

LOGGER: Final = "hwledger.server"
_OWN: Final = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {
    "message", "asctime", "taskName", "color_message",
}  # fmt: skip


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON; whatever looks like a secret is taken out."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record: time, level, logger, message, and what was said beside it."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        told: dict[str, Any] = {
            "time": f"{moment[:-6]}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        told |= {name: value for name, value in record.__dict__.items() if name not in _OWN}
        if record.exc_info:
            told["trace"] = _places(record.exc_info[2])
            told["error"] = record.exc_info[0].__name__ if record.exc_info[0] else ""
        return redacted(json.dumps(told, ensure_ascii=True, default=str))


def _places(trace: Any) -> list[str]:
    """Return where an error came through, without the values that it was about."""
    return [f"{one.filename}:{one.lineno} {one.name}" for one in traceback.extract_tb(trace)]


def set_up_logs(level: str = "info", stream: "TextIO | None" = None) -> None:
    """Send what the server and its libraries log to a stream, as JSON lines; stderr if not given."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    for name, least in (("hwledger", level), ("uvicorn", "warning")):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(least.upper())
    logging.getLogger("uvicorn.access").disabled = True  # the server's own line says more, and no addresses
