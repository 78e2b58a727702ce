"""What goes wrong, as RFC 9457 says it: one kind of document for every error, without traces and secrets."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from hwledger import errors
from hwledger.fleet.once import OtherRequestError
from hwledger.fleet.secret import redacted

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

MEDIA: Final = "application/problem+json"
NAMES: Final[Mapping[int, str]] = {
    400: "bad-request", 401: "unauthenticated", 403: "denied", 404: "not-found", 405: "method-not-allowed",
    409: "conflict", 413: "too-large", 415: "unsupported-media-type", 422: "unusable", 429: "too-many",
    500: "internal", 501: "not-here", 503: "busy", 507: "full",
}  # fmt: skip
_STATUS: Final[Sequence[tuple[type[Exception], int]]] = (
    (OtherRequestError, 422),
    (errors.TooLargeError, 413),
    (errors.ConflictError, 409),
    (errors.AmbiguousError, 409),
    (errors.MissingError, 404),
    (errors.FullError, 507),
    (errors.BusyError, 503),
    (errors.AlteredError, 500),
    (errors.NewerError, 500),
    (errors.DeniedError, 403),
    (errors.UsageError, 422),
    (errors.InputError, 422),
    (errors.UnreachableError, 503),
)
RETRY_SECONDS: Final = 1
_LOG: Final = logging.getLogger("hwledger.server")


class Fault(BaseModel):
    """One thing that is wrong in what was sent."""

    where: str = Field(description="Which part: body.subject, query.after, header.Idempotency-Key.")
    what: str = Field(description="What is wrong with it.")


class Problem(BaseModel):
    """An error (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{
            "type": "urn:hwledger:problem:not-found", "title": "Not Found", "status": 404,
            "detail": "there is no host 'a'; hwledger hosts lists them", "request": "0e7a52c1b0d94f7a",
        }]}
    )  # fmt: skip

    type: str = Field(description="Which kind of problem, a URI that stays the same.")
    title: str = Field(description="The kind in words.")
    status: int = Field(description="The status of the reply.")
    detail: str = Field(description="What happened, to what, and what to do next.")
    request: str = Field(description="By which the server's log knows this request.")
    faults: list[Fault] = Field(default_factory=list, description="What is wrong in what was sent.")


class ProblemError(Exception):
    """What a route answers with in place of its document."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


def unauthenticated(detail: str) -> ProblemError:
    """Return the answer to who shows no token that counts."""
    return ProblemError(401, detail, {"WWW-Authenticate": 'Bearer realm="hwledger"'})


def status_of(error: Exception) -> int:
    """Return the status that an error of hwledger is answered with."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def problem(
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    *,
    request: "Request | None" = None,
    faults: Sequence[Fault] = (),
) -> "Response":
    """Return the reply of an error."""
    from starlette.responses import Response  # noqa: PLC0415 - start-up time

    identity = getattr(request.state, "request_id", "") if request is not None else ""
    told = Problem(
        type=f"urn:hwledger:problem:{NAMES.get(status, 'other')}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=redacted(detail),
        request=identity,
        faults=list(faults),
    )
    more = {"Retry-After": str(RETRY_SECONDS)} if status in {429, 503} else {}
    raw = told.model_dump_json().encode("utf-8", "backslashreplace")
    return Response(raw, status, {**more, **(headers or {})}, MEDIA)


def problem_of(error: errors.HwledgerError, request: "Request | None" = None) -> "Response":
    """Return the reply of an error that was raised on purpose."""
    status = status_of(error)
    if status >= 500:  # noqa: PLR2004 - the server's own troubles
        _LOG.error("a request could not be served", extra={"why": str(error), "status": status})
    return problem(status, str(error), request=request)


def answer_errors(app: "FastAPI") -> None:
    """Let an application answer every error with a problem."""
    from fastapi.exceptions import RequestValidationError  # noqa: PLC0415 - start-up time
    from starlette.exceptions import HTTPException  # noqa: PLC0415 - start-up time

    async def by_route(request: "Request", error: ProblemError) -> "Response":
        return problem(error.status, error.detail, error.headers, request=request)

    async def by_framework(request: "Request", error: HTTPException) -> "Response":
        return problem(error.status_code, _sentence(request, error), error.headers, request=request)

    async def by_form(request: "Request", error: RequestValidationError) -> "Response":
        faults = [_fault(one) for one in error.errors()[:20]]
        told = "; ".join(f"{one.where}: {one.what}" for one in faults[:3])
        return problem(422, f"what was sent cannot be used: {told}", request=request, faults=faults)

    async def by_use(request: "Request", error: errors.HwledgerError) -> "Response":
        return problem_of(error, request)

    async def by_nobody(request: "Request", _: Exception) -> "Response":
        return problem(500, "something went wrong in the server; its log knows this request", request=request)

    app.add_exception_handler(Exception, by_nobody)
    app.add_exception_handler(ProblemError, by_route)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, by_framework)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, by_form)  # type: ignore[arg-type]
    app.add_exception_handler(errors.HwledgerError, by_use)  # type: ignore[arg-type]


def _sentence(request: "Request", error: Any) -> str:
    if error.status_code == 404:  # noqa: PLR2004 - Not Found
        return "there is nothing at this address; /openapi.json lists what there is"
    if error.status_code == 405:  # noqa: PLR2004 - Method Not Allowed
        return f"{request.method} cannot be done here; the reply's Allow says what can"
    if error.status_code == 400:  # noqa: PLR2004 - Bad Request
        return "the body is no JSON that can be read; send an object"
    return str(error.detail)


def _fault(found: Mapping[str, Any]) -> Fault:
    """Return a fault without what was sent: that may be a secret."""
    where = ".".join(str(part) for part in found["loc"])
    return Fault(where=where[:200], what=str(found["msg"])[:300])
