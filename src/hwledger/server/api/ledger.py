"""Routes that read the ledger, and the one that adds to it."""

import base64
import csv
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Annotated, Final, cast

from fastapi import Path, Query, Request, Response
from starlette.responses import StreamingResponse

from hwledger import history
from hwledger.errors import UsageError
from hwledger.fleet.context import Fleet
from hwledger.ledger.audit import audit
from hwledger.ledger.chain import Entry
from hwledger.ledger.event import Event, microseconds_of
from hwledger.ledger.merkle import Nodes, consistency_proof, inclusion_proof, root_at
from hwledger.ledger.note import Checkpoint
from hwledger.ledger.reader import SqlReader
from hwledger.ledger.store import Store
from hwledger.ledger.types import full_names, shipped_types, split_type
from hwledger.screens.ledger import proof_document
from hwledger.server.api import models
from hwledger.server.api.answering import did
from hwledger.server.problems import ProblemError
from hwledger.server.side import side_of, user_of
from hwledger.shipped import shipped_text

JSON_LINES: Final = "application/jsonl"
_CHUNK: Final = 64
_CHECKING: Final = threading.Lock()
Size = Annotated[int, Query(ge=1, le=models.LARGEST_SEQ)]


def head(request: Request) -> models.HeadOut:
    """Return where the ledger ends."""
    store = side_of(request).fleet.store
    end = store.head()
    with _nodes(store) as nodes:
        root = root_at(end.seq, nodes)
    return models.HeadOut(
        origin=store.origin, size=end.seq, chain=end.chain.hex(), root=base64.b64encode(root).decode()
    )


def _nodes(store: Store) -> AbstractContextManager[Nodes]:
    """Give the Merkle tree; over one connection where the store can."""
    return store.nodes() if isinstance(store, SqlReader) else nullcontext(store.node)


def events(
    request: Request,
    after: models.After = 0,
    limit: models.Limit = 100,
    types: models.Types = [],  # noqa: B006 - FastAPI copies it
    subject: models.Subject = "",
) -> Response:
    """Return events in order, a JSON object a line; the next page begins after the last line's ``seq``."""
    store, wanted = side_of(request).fleet.store, full_names(types)
    first = store.read(after, min(limit, _CHUNK), types=wanted, subject=subject)

    def lines() -> Iterator[bytes]:
        page, left = first, limit
        while page:
            yield b"".join(map(line_of, page))
            left -= len(page)
            more = left > 0 and len(page) == _CHUNK
            page = store.read(page[-1].seq, min(left, _CHUNK), types=wanted, subject=subject) if more else []

    return StreamingResponse(lines(), media_type=JSON_LINES)


def line_of(entry: Entry) -> bytes:
    """Return an entry as a line of JSON."""
    return models.entry_out(entry).model_dump_json().encode() + b"\n"


@cache
def recordable() -> frozenset[str]:
    """Return the names of the types that users may record; the fleet's state follows from none."""
    rows = csv.DictReader(shipped_text("hwledger.server", "data/recordable_types.csv").splitlines())
    return frozenset(row["type"] for row in rows)


def record(
    request: Request, response: Response, sent: models.EventIn, key: models.Key = None
) -> models.Receipts:
    """Record an event in the name of the user; the same event again is answered with its first place."""
    name, _ = _type_of(sent)
    if name not in recordable():
        raise ProblemError(
            403, f"{name} is not recorded by users; they record {', '.join(sorted(recordable()))}"
        )
    side, user = side_of(request), user_of(request)
    source = f"spiffe://{side.fleet.trust_domain}/user/{user.name}"
    moment = microseconds_of(sent.time)
    made = Event(sent.id, source, sent.type, sent.subject, moment, sent.data, actor=f"user:{user.name}")
    shipped_types().check(made)

    def act(fleet: Fleet) -> None:
        fleet.store.append([made])

    done = did(request, response, key, act)
    return models.Receipts(events=models.receipts_of(done.entries))


def _type_of(sent: models.EventIn) -> tuple[str, int]:
    try:
        return split_type(sent.type)
    except ValueError:
        raise UsageError(f"type {sent.type!r} is not like fleet.plan.created.v1") from None


def inclusion(request: Request, seq: Size, size: Size | None = None) -> models.InclusionOut:
    """Return the hashes from an event to the root of the ledger, or of its first ``size`` events."""
    store = side_of(request).fleet.store
    entry, last = store.get(seq), store.head().seq
    size = size or last
    if not seq <= size <= last:
        raise ProblemError(404, f"size is {seq} to {last} for event {seq} of this ledger, not {size}")
    with _nodes(store) as nodes:
        hashes = inclusion_proof(seq - 1, size, nodes)
        shown = Checkpoint(store.origin, size, root_at(size, nodes))
    return models.InclusionOut(**proof_document(shown, entry, hashes, store.notes().get(size)))


def consistency(request: Request, a: Size, b: Size | None = None) -> models.ConsistencyOut:
    """Return the hashes that show that the first ``b`` events, else all, continue the first ``a``."""
    store = side_of(request).fleet.store
    last = store.head().seq
    b = b or last
    if not a <= b <= last:
        raise ProblemError(404, f"a is at most b, and b at most {last} in this ledger; not {a} and {b}")
    with _nodes(store) as nodes:
        hashes = consistency_proof(a, b, nodes)
        root_a, root_b = root_at(a, nodes), root_at(b, nodes)
    old, new, *between = (base64.b64encode(one).decode() for one in (root_a, root_b, *hashes))
    return models.ConsistencyOut(origin=store.origin, a=a, b=b, root_a=old, root_b=new, hashes=between)


def checkpoints(request: Request, after: models.After = 0, limit: models.Limit = 100) -> models.Checkpoints:
    """Return the signed checkpoints that the ledger keeps, of sizes beyond ``after``."""
    store = side_of(request).fleet.store
    found = [
        models.CheckpointOut(size=size, note=note) for size, note in store.notes().items() if size > after
    ]
    return models.Checkpoints(origin=store.origin, checkpoints=found[:limit])


def verify(request: Request) -> models.VerifyOut:
    """Check every event, hash and checkpoint, one check at a time; what is wrong is a 500 that says it."""
    store = side_of(request).fleet.store
    if not isinstance(store, SqlReader):
        raise ProblemError(501, "this ledger is not checked over the API; hwledger ledger verify checks it")
    if not _CHECKING.acquire(blocking=False):
        raise ProblemError(503, "another check of this ledger runs; ask again when it is done")
    try:
        report = audit(store)
    finally:
        _CHECKING.release()
    return models.VerifyOut(
        origin=report.origin,
        size=report.head.seq,
        chain=report.head.chain.hex(),
        root=base64.b64encode(report.root).decode(),
        checkpoints_kept=report.kept,
    )


def history_of(
    request: Request,
    subject: Annotated[str, Path(min_length=1, max_length=1024, description="Qwen/Qwen3-32B, host/NAME …")],
    after: models.After = 0,
    limit: models.Limit = 100,
) -> models.HistoryOut:
    """Return what is on record of a model or a host."""
    store = cast("SqlReader", side_of(request).fleet.store)  # what a server opens tells its subjects
    found = history.history_in(store, subject, after=after, limit=limit)
    return models.HistoryOut(origin=store.origin, events=[models.entry_out(entry) for entry in found])
