"""Routes of hosts, of the tokens that they join with, and of what they are told to do."""

from collections.abc import Callable
from typing import Any

from fastapi import Request, Response

from hwledger.fleet.context import Fleet
from hwledger.fleet.secret import Secret
from hwledger.server.api import models
from hwledger.server.api.answering import did
from hwledger.server.problems import ProblemError
from hwledger.server.side import services_of, side_of, user_of


def listed(request: Request) -> models.Hosts:
    """Return all hosts, by name."""
    found = [models.HostOut.model_validate(one) for one in services_of(request).hosts(side_of(request).fleet)]
    return models.Hosts(hosts=sorted(found, key=lambda host: (host.name, host.id)))


def one(request: Request, host: models.HostName) -> models.HostOut:
    """Return a host."""
    return models.HostOut.model_validate(services_of(request).host(side_of(request).fleet, host))


def approve(
    request: Request, response: Response, host: models.HostName, key: models.Key = None
) -> models.Receipts:
    """Let in a host that waits."""
    return _decided(request, response, host, key, services_of(request).approve)


def retire(
    request: Request,
    response: Response,
    host: models.HostName,
    sent: models.ReasonIn,
    key: models.Key = None,
) -> models.Receipts:
    """Take a host out for good; its certificate counts no longer."""
    return _decided(request, response, host, key, services_of(request).retire, reason=sent.reason)


def ban(
    request: Request,
    response: Response,
    host: models.HostName,
    sent: models.ReasonIn,
    key: models.Key = None,
) -> models.Receipts:
    """Refuse a host from now on; it may not join again."""
    return _decided(request, response, host, key, services_of(request).ban, reason=sent.reason)


def _decided(
    request: Request,
    response: Response,
    name: str,
    key: str | None,
    decide: Callable[..., Any],
    **more: str,
) -> models.Receipts:
    identity = services_of(request).host(side_of(request).fleet, name).id
    actor = f"user:{user_of(request).name}"
    done = did(request, response, key, lambda fleet: decide(fleet, identity, actor=actor, **more))
    return models.Receipts(events=models.receipts_of(done.entries))


def join_tokens(request: Request) -> models.JoinTokens:
    """Return the join tokens, those that ran out too."""
    found = services_of(request).tokens(side_of(request).fleet)
    return models.JoinTokens(tokens=[models.JoinTokenOut.model_validate(each) for each in found])


def create_join_token(
    request: Request, response: Response, sent: models.JoinTokenIn, key: models.Key = None
) -> models.JoinTokenMade:
    """Make a join token; a repetition with the same key shows the same token again."""
    services, actor = services_of(request), f"user:{user_of(request).name}"

    def act(fleet: Fleet) -> Any:
        return services.create_token(fleet, **sent.model_dump(), address=services.address, actor=actor)

    done = did(request, response, key, act, remade=True)
    made: Any = done.made
    if made.hash != done.event("token.created").data["token"]:
        raise ProblemError(409, "this token was made before and cannot be shown again; make another")
    text = made.text.reveal() if isinstance(made.text, Secret) else str(made.text)
    told = {
        "token": text,
        "hash": made.hash,
        "expires": made.expires,
        "events": models.receipts_of(done.entries),
    }
    return models.JoinTokenMade(**told, uses=sent.uses, labels=sent.labels, approve=sent.approve)


def command(
    request: Request, response: Response, sent: models.CommandIn, key: models.Key = None
) -> models.CommandMade:
    """Tell a host to do something; it fetches it, does it once, and says what came of it."""
    services, actor = services_of(request), f"user:{user_of(request).name}"
    identity = services.host(side_of(request).fleet, sent.host).id

    def act(fleet: Fleet) -> str:
        return services.issue(
            fleet, identity, sent.verb, sent.arguments, ttl_seconds=sent.ttl_seconds, actor=actor
        )

    done = did(request, response, key, act)
    return models.CommandMade(
        command=str(done.event("command.issued").data["command"]), events=models.receipts_of(done.entries)
    )
