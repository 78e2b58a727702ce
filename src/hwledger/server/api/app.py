"""The application: every route of the table, described as OpenAPI 3.1."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI, Request, Response, Security
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.routing import BaseRoute, Route

from hwledger.server.api import hosts, ledger, models, stream, users
from hwledger.server.api.guard import ANYONE, BEARER, Guarded, check_table, route_roles
from hwledger.server.api.joining import ENROL, PROOF
from hwledger.server.around import Around
from hwledger.server.metrics import MEDIA as METRICS_MEDIA
from hwledger.server.problems import MEDIA, NAMES, Problem, answer_errors, problem
from hwledger.server.side import Side, side_of
from hwledger.shipped import shipped_text

ABOUT: Final = (
    "Hosts, events and proofs of one fleet. Every error is an RFC 9457 problem. A POST with an"
    " `Idempotency-Key` is done once. Pages go by sequence number: `after` is the last one seen."
)


@dataclass(frozen=True, slots=True)
class Served:
    """How one route of the table is served.

    Attributes:
        handler: answers.
        status: of a success.
        errors: what else it may answer with, beside 500 and, with a token, 401 and 403.
        media: of a success where it is no JSON document.
        headers: of a success.
        path: as the router wants it, where it differs from the table.
        model: of a success, where the handler does not say it.
        body: the JSON Schema of what is sent, where the handler reads it itself.
    """

    handler: Callable[..., Any]
    status: int = 200
    errors: tuple[int, ...] = ()
    media: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    path: str = ""
    model: type[BaseModel] | None = None
    body: Mapping[str, Any] | None = None


_WRITES: Final = (400, 409, 413, 422, 503, 507)
_REPLAYED: Final = {"Idempotency-Replayed": "true: this was done before, and is answered alike."}


def alive() -> models.Live:
    """Return that the process lives."""
    return models.Live(status="ok")


def ready(request: Request) -> Any:
    """Return whether the ledger can be written."""
    why = side_of(request).readiness.why_not()
    return problem(503, why, request=request) if why else models.Live(status="ready")


def metrics(request: Request) -> Response:
    """Return counters for Prometheus."""
    return Response(side_of(request).metrics.page(), media_type=METRICS_MEDIA)


def description(request: Request) -> Response:
    """Return this API as OpenAPI 3.1."""
    return JSONResponse(described(request.app))


SERVED: Final[Mapping[tuple[str, str], Served]] = {
    ("GET", "/healthz"): Served(alive),
    ("GET", "/readyz"): Served(ready, errors=(503,), model=models.Live),
    ("GET", "/metrics"): Served(metrics, media="text/plain"),
    ("GET", "/openapi.json"): Served(description, media="application/json"),
    ("GET", "/v1/me"): Served(users.me),
    ("GET", "/v1/ledger/head"): Served(ledger.head),
    ("GET", "/v1/ledger/events"): Served(ledger.events, errors=(422,), media=ledger.JSON_LINES),
    ("POST", "/v1/events"): Served(ledger.record, 201, _WRITES, headers=_REPLAYED),
    ("GET", "/v1/ledger/proof/inclusion"): Served(ledger.inclusion, errors=(404, 422)),
    ("GET", "/v1/ledger/proof/consistency"): Served(ledger.consistency, errors=(404, 422)),
    ("GET", "/v1/ledger/checkpoints"): Served(ledger.checkpoints, errors=(422,)),
    ("GET", "/v1/ledger/verify"): Served(ledger.verify, errors=(501, 503)),
    ("GET", "/v1/stream"): Served(stream.stream, errors=(422, 503), media=stream.MEDIA),
    ("GET", "/v1/history/{subject}"): Served(
        ledger.history_of, errors=(404, 422), path="/v1/history/{subject:path}"
    ),
    ("GET", "/v1/users/tokens"): Served(users.tokens),
    ("POST", "/v1/users/tokens"): Served(users.create, 201, _WRITES, headers=_REPLAYED),
    ("DELETE", "/v1/users/tokens/{token}"): Served(users.revoke, 200, (404, *_WRITES), headers=_REPLAYED),
}
HOSTS: Final[Mapping[tuple[str, str], Served]] = {
    ("GET", "/v1/tokens"): Served(hosts.join_tokens),
    ("POST", "/v1/tokens"): Served(hosts.create_join_token, 201, _WRITES, headers=_REPLAYED),
    ("GET", "/v1/hosts"): Served(hosts.listed),
    ("GET", "/v1/hosts/{host}"): Served(hosts.one, errors=(404, 409, 422)),
    ("POST", "/v1/hosts/{host}/approve"): Served(hosts.approve, 200, (404, *_WRITES), headers=_REPLAYED),
    ("POST", "/v1/hosts/{host}/retire"): Served(hosts.retire, 200, (404, *_WRITES), headers=_REPLAYED),
    ("POST", "/v1/hosts/{host}/ban"): Served(hosts.ban, 200, (404, *_WRITES), headers=_REPLAYED),
    ("POST", "/v1/commands"): Served(hosts.command, 201, (404, *_WRITES), headers=_REPLAYED),
}
"""There where the server has hosts."""
_ENROLLING: Final[Mapping[tuple[str, str], Mapping[str, Any]]] = {
    ("GET", "/ca"): {"media": "application/x-pem-file"},
    ("POST", "/v1/enrol"): {
        "status": 201, "errors": (202, 403, 409, 413, 422, 429, 503, 507), "media": "application/json",
        "body": ENROL,
    },
    ("POST", "/v1/renew-with-proof"): {
        "status": 201, "errors": (200, 403, 404, 409, 413, 422, 429, 503, 507), "media": "application/json",
        "body": PROOF,
    },
}  # fmt: skip
"""By which machines that are no members yet come in; where the server has authorities."""


@cache
def route_abouts() -> Mapping[tuple[str, str], str]:
    """Return what each route does, in words."""
    rows = csv.DictReader(shipped_text("hwledger.server", "data/routes.csv").splitlines())
    return {(row["method"], row["path"]): row["about"] for row in rows}


def api(side: Side, enrolling: Sequence[BaseRoute] = ()) -> Around:
    """Return the application of a server.

    Args:
        side: what it serves of; with the routes of hosts where it has hosts.
        enrolling: the routes by which machines come in.
    """
    app = FastAPI(
        title="hwledger", version=version("hwledger"), description=ABOUT, openapi_url=None, docs_url=None,
        redoc_url=None, redirect_slashes=False,
    )  # fmt: skip
    side = replace(side, roles=route_roles())
    app.state.side = side
    answer_errors(app)
    served = {**SERVED, **(HOSTS if side.services else {}), **_enrolling(enrolling)}
    for (method, path), how in served.items():
        _add(app, method, path, how, route_roles().get((method, path)))
    check_table(app, route_roles())
    _watch(side)
    return Around(app, side.metrics)


def _enrolling(routes: Sequence[BaseRoute]) -> dict[tuple[str, str], Served]:
    known = [one for one in routes if isinstance(one, Route)]
    handlers = {(method, one.path): one.endpoint for one in known for method in one.methods or ()}
    return {where: Served(handlers[where], **how) for where, how in _ENROLLING.items() if where in handlers}


def _add(app: FastAPI, method: str, path: str, how: Served, role: str | None) -> None:
    errors = [*how.errors, 500, *(() if role == ANYONE else (401, 403))]
    kind = "object" if how.media == "application/json" else "string"
    content = {how.media: {"schema": {"type": kind}}} if how.media else None
    success: dict[str, Any] = {"description": route_abouts().get((method, path), "")}
    if content:
        success["content"] = content
    if how.headers:
        success["headers"] = {
            name: {"description": about, "schema": {"type": "string"}} for name, about in how.headers.items()
        }
    if how.model:
        success["model"] = how.model
    app.router.add_api_route(
        how.path or path,
        how.handler,
        methods=[method],
        status_code=how.status,
        summary=route_abouts().get((method, path)),
        description=how.handler.__doc__ or route_abouts().get((method, path)),
        responses={how.status: success, **{status: _problem(status) for status in sorted(set(errors))}},
        openapi_extra=_body(how.body),
        response_class=Response if how.media else JSONResponse,
        response_model=None if how.media or how.model else _model(how.handler),
        dependencies=[] if role == ANYONE else [Security(BEARER)],
        operation_id=f"{method.lower()}_{path.strip('/').replace('/', '_').replace('.', '_')}",
        route_class_override=APIRoute if role == ANYONE else Guarded,
        tags=[path.split("/")[2] if path.startswith("/v1/") else "server"],
    )


def _body(schema: Mapping[str, Any] | None) -> dict[str, Any] | None:
    content = {"application/json": {"schema": schema}}
    return None if schema is None else {"requestBody": {"required": True, "content": content}}


def _model(handler: Callable[..., Any]) -> Any:
    return handler.__annotations__.get("return")


def _problem(status: int) -> dict[str, Any]:
    if status < 400:  # noqa: PLR2004 - another success
        return {
            "description": "also a success",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": NAMES[status], "content": {MEDIA: {"schema": schema}}}


def described(app: FastAPI) -> dict[str, Any]:
    """Return the API as OpenAPI 3.1; with problems, which are no document of any route's own media type."""
    document = app.openapi()
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    if "Problem" not in schemas:
        made = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update({**made.pop("$defs", {}), "Problem": made})
    return document


def _watch(side: Side) -> None:
    """Tell Prometheus of ledger and hosts, too."""
    fleet = side.fleet

    def values() -> dict[str, tuple[str, float]]:
        return {
            "hwledger_ledger_events": ("Events in the ledger.", fleet.store.head().seq),
            "hwledger_hosts_heard": (
                "Hosts that spoke to this process and are not offline.",
                len(fleet.live),
            ),
            "hwledger_agents_waiting": ("Agents whose long poll is open.", fleet.live.waiting),
        }

    side.metrics.watch(values)
