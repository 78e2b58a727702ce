"""Searching the hub, with answers that are kept for when there is no network."""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from hwledger.errors import DeniedError, OfflineError, UnreachableError, UsageError
from hwledger.library.access import Access, refused_anew
from hwledger.library.hub.reference import check_endpoint, endpoint
from hwledger.library.kept import Kept, keep, recall

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from huggingface_hub import HfApi

FRESH_S: Final = 3600.0
MOST_RESULTS: Final = 500
Sort = Literal["downloads", "likes", "last_modified", "created_at", "trending_score"]
SORTS: Final[tuple[Sort, ...]] = get_args(Sort)
_KIND: Final = "search"
_PROPERTIES: Final = ("downloads", "likes", "lastModified", "library_name", "pipeline_tag", "gated", "tags")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubQuery:
    """What is searched for.

    Attributes:
        words: parts of names.
        author: user or organisation.
        library: ``gguf``, ``mlx``, ``transformers`` …
        task: the hub's pipeline tag, ``text-generation`` …
        sort: one of ``SORTS``.
        limit: results at most.
    """

    words: str = ""
    author: str | None = None
    library: str | None = None
    task: str | None = None
    sort: Sort = "downloads"
    limit: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class HubModel:
    """One result: ``ref`` is what to type to plan it."""

    ref: str
    downloads: int
    likes: int
    updated: str
    library: str
    task: str
    gated: bool


@dataclass(frozen=True, slots=True)
class Found:
    """The results and, where they are kept ones, their age in seconds."""

    models: tuple[HubModel, ...]
    kept_s: float | None = None


def search_hub(query: HubQuery, access: Access) -> Found:
    """Return the models of the hub that match, newest answer within an hour, any kept one offline.

    Raises:
        UsageError: a sort or limit that does not exist; what is kept and the network are both refused.
        OfflineError: no network is to be used and this search was never asked before.
        UnreachableError: the hub does not answer and this search was never asked before.
    """
    if query.sort not in SORTS:
        raise UsageError(f"{query.sort!r} is no order of the hub; take one of {', '.join(SORTS)}")
    if not 1 <= query.limit <= MOST_RESULTS:
        raise UsageError(f"a limit of {query.limit} cannot be; give 1 to {MOST_RESULTS}")
    check_endpoint()
    key = f"{endpoint()}|{json.dumps(asdict(query), sort_keys=True)}"
    old = _old(recall(_KIND, key))
    if old and not access.refresh and (access.offline or (old.kept_s or 0) < FRESH_S):
        return old
    try:
        models = _ask(query, access)
    except UnreachableError as error:
        if isinstance(error, OfflineError):
            never = OfflineError("this search was never asked with a network, so nothing of it is kept")
            raise (refused_anew("the answer to this search") if old else never) from None
        if old is None or isinstance(error, DeniedError):
            raise
        access.say(f"{error}; what follows is kept from an earlier search")
        return old
    keep(_KIND, key, {"models": [asdict(model) for model in models]})
    return Found(models)


def _ask(query: HubQuery, access: Access) -> tuple[HubModel, ...]:
    from hwledger.library.hub.session import hub_session  # noqa: PLC0415 - start-up time

    def question(api: "HfApi") -> tuple[HubModel, ...]:
        found = api.list_models(
            search=query.words or None, author=query.author, filter=query.library, pipeline_tag=query.task,
            sort=query.sort, limit=query.limit, expand=list(_PROPERTIES),
        )  # fmt: skip
        return tuple(_model(info) for info in found)[: query.limit]

    with hub_session(access) as hub:
        return hub.ask("this search", None, question)


def _model(info: Any) -> HubModel:
    modified = info.last_modified
    return HubModel(
        ref=str(info.id),
        downloads=_count(info.downloads),
        likes=_count(info.likes),
        updated=modified.date().isoformat() if modified else "",
        library=str(info.library_name or ""),
        task=str(info.pipeline_tag or ""),
        gated=bool(info.gated),
    )


def _count(stated: object) -> int:
    if stated is None:
        return 0
    if isinstance(stated, bool) or not isinstance(stated, int):
        raise TypeError("no count")
    return stated


def _old(kept: Kept | None) -> Found | None:
    if kept is None:
        return None
    try:
        rows: Sequence[Mapping[str, Any]] = kept.document["models"]
        return Found(tuple(HubModel(**row) for row in rows), kept.age_s)
    except (KeyError, TypeError):
        return None
