"""Errors as RFC 9457 has them: ``application/problem+json`` with type, title, status and detail."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from hwledger.errors import (
    BusyError,
    ConflictError,
    DeniedError,
    FullError,
    HwledgerError,
    InputError,
    MissingError,
    UsageError,
)

_STATUS: Final[tuple[tuple[type[HwledgerError], HTTPStatus], ...]] = (
    (DeniedError, HTTPStatus.FORBIDDEN),
    (MissingError, HTTPStatus.NOT_FOUND),
    (ConflictError, HTTPStatus.CONFLICT),
    (FullError, HTTPStatus.INSUFFICIENT_STORAGE),
    (BusyError, HTTPStatus.SERVICE_UNAVAILABLE),
    (InputError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (UsageError, HTTPStatus.UNPROCESSABLE_ENTITY),
)


def problem(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer that says what went wrong."""
    body = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail}
    return Response(json.dumps(body), int(status), headers, media_type="application/problem+json")


def problem_of(error: HwledgerError) -> Response:
    """Return the answer for an error that was raised on purpose."""
    found = (status for kind, status in _STATUS if isinstance(error, kind))
    return problem(next(found, HTTPStatus.INTERNAL_SERVER_ERROR), str(error))
