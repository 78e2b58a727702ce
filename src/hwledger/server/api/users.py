"""Routes of users and their tokens."""

from importlib.metadata import version
from typing import Annotated

from fastapi import Path, Request, Response

from hwledger.fleet.context import Fleet
from hwledger.fleet.users import NewUserToken, make_user_token, revoke_user_token, user_tokens
from hwledger.server.api import models
from hwledger.server.api.answering import did
from hwledger.server.problems import ProblemError
from hwledger.server.side import side_of, user_of


def me(request: Request) -> models.Me:
    """Return who the token belongs to."""
    user, origin = user_of(request), side_of(request).fleet.store.origin
    return models.Me(
        name=user.name, role=user.role, token_id=user.token_id, server=version("hwledger"), origin=origin
    )


def tokens(request: Request) -> models.UserTokens:
    """Return the tokens of all users, revoked ones too."""
    found = user_tokens(side_of(request).fleet)
    return models.UserTokens(tokens=[models.UserTokenOut.model_validate(one) for one in found])


def create(
    request: Request, response: Response, sent: models.UserTokenIn, key: models.Key = None
) -> models.UserTokenMade:
    """Make a token; a repetition with the same key shows the same token again."""
    actor, services = f"user:{user_of(request).name}", side_of(request).services

    def act(fleet: Fleet) -> NewUserToken:
        return make_user_token(
            fleet, user=sent.user, role=sent.role, ttl_seconds=sent.ttl_seconds, actor=actor
        )

    done = did(request, response, key, act, remade=True)
    if done.made is None or done.made.id != done.event("user.token_created").data["id"]:
        raise ProblemError(409, "this token was made before and cannot be shown again; make another")
    return models.UserTokenMade(
        id=done.made.id,
        token=done.made.text.reveal(),
        user=sent.user,
        role=sent.role,
        expires=done.made.expires,
        server=services.entrance or None if services else None,
        events=models.receipts_of(done.entries),
    )


def revoke(
    request: Request,
    response: Response,
    token: Annotated[str, Path(pattern="^[0-9a-f]{16}$", description="Its id.")],
    key: models.Key = None,
) -> models.Receipts:
    """Make a token count no longer, at once; again does nothing."""
    actor = f"user:{user_of(request).name}"
    done = did(request, response, key, lambda fleet: revoke_user_token(fleet, token, actor=actor))
    return models.Receipts(events=models.receipts_of(done.entries))
