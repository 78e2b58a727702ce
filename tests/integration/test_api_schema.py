"""Every route with every role and whatever a client may send, made from the API's own description.

``HWLEDGER_API_EXAMPLES=300`` tries more; the report of ``docs/reliability.md`` did.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from hwledger.fleet.users import Role
from hwledger.server.api.guard import ANYONE, route_roles
from support.fleet_server import Served, served

pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("FR-FLEET-API", "FR-FLEET-ROLES")]
EXAMPLES = int(os.environ.get("HWLEDGER_API_EXAMPLES", "2"))
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance,
]  # fmt: skip
ROLES = (ANYONE, *(role.value for role in Role))
ENDLESS = "/v1/stream"
"""Does not end; ``test_whole_server`` reads it."""
ROUTES = [route for route in route_roles() if route[1] != ENDLESS]
STATUSES: Counter[tuple[str, int]] = Counter()
UNROUTED = {404, 405}
"""Of a path that no route takes: what stands in it has a slash, or is nothing."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Give a server with hosts in every state."""
    with served(tmp_path_factory.mktemp("schema")) as one:
        one.host("node1")
        one.host("waits", approve=True)
        yield one
    for (role, status), times in sorted(STATUSES.items()):
        print(f"{role:9} {status} {times}")  # noqa: T201 - with -s, for the report


@pytest.fixture(scope="module")
def operations(server: Served) -> Mapping[tuple[str, str], Any]:
    """Return how each route is described."""
    schema = schemathesis.openapi.from_dict(server.ask("anyone", "GET", "/openapi.json").json())
    found = [result.ok() for result in schema.get_all_operations()]
    return {(one.method.upper(), one.path): one for one in found}


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_any_request_with_any_role(
    server: Served, operations: Mapping[tuple[str, str], Any], method: str, path: str, mode: GenerationMode
) -> None:
    """Only described answers come; who lacks the right gets 401 or 403, and nothing is added for them."""
    operation, needed = operations[method, path], route_roles()[method, path]
    if mode is GenerationMode.NEGATIVE and not (operation.body or list(operation.iter_parameters())):
        return  # nothing is sent that could be wrong
    strategy = operation.as_strategy(generation_mode=mode)

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=EXAMPLES < 10,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    @given(case=strategy, role=st.sampled_from(ROLES))
    def ask(case: Any, role: str) -> None:
        answered(server, case, role, needed)

    ask()


def answered(server: Served, case: Any, role: str, needed: str) -> None:
    """Send a request as a role, and look at the answer and at the ledger."""
    before = server.side.fleet.store.head()
    sent = case.as_transport_kwargs(base_url="http://testserver")
    headers = {name: value for name, value in sent.pop("headers").items() if name.lower() != "authorization"}
    sent.pop("cookies", None)
    if role != ANYONE:
        headers["Authorization"] = f"Bearer {server.tokens[role]}"
    if isinstance(sent.get("data"), bytes):
        sent["content"] = sent.pop("data")
    reply = server.client.request(headers=headers, **sent)
    STATUSES[role, reply.status_code] += 1
    if reply.status_code not in UNROUTED:
        case.validate_response(reply, checks=CHECKS)
    if ROLES.index(role) < ROLES.index(needed):
        assert reply.status_code in {401, 403, *UNROUTED}, (role, needed)
        assert server.side.fleet.store.head() == before
    elif case.method == "GET":
        assert server.side.fleet.store.head() == before
