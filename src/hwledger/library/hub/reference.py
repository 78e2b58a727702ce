"""How people write a model of the hub: names, revisions, quantisations and addresses."""

import os
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from hwledger.errors import UsageError

PUBLIC: Final = "https://huggingface.co"
HOSTS: Final = frozenset({"huggingface.co", "www.huggingface.co", "hf.co", "hf-mirror.com"})
# a branch with a slash is given by --revision; here a slash begins the path
_REVISION: Final = r"refs/[^\s:@]{1,200}|[^\s:@/]{1,200}"
_NAME: Final = r"[A-Za-z0-9_](?:[\w.-]{0,95})"
_REPO: Final = rf"(?P<repo>{_NAME}/{_NAME})(?:@(?P<revision>{_REVISION}))?(?::(?P<quant>[\w.-]{{1,80}}))?"
_SHORT: Final = rf"(?P<repo>{_NAME})(?:@(?P<revision>{_REVISION}))?(?::(?P<quant>[\w.-]{{1,80}}))?"
_OTHER_KINDS: Final = frozenset({"datasets", "spaces", "papers", "collections", "docs", "blog", "buckets"})
_VIEWS: Final = frozenset({"tree", "blob", "resolve", "raw", "commit"})
_COMMIT: Final = r"[0-9a-f]{40}"


@dataclass(frozen=True, slots=True)
class HubReference:
    """A model of the hub as it was asked for.

    Attributes:
        repo: ``org/name``.
        revision: branch, tag or commit; ``None``: the main branch.
        path: folder or file within the repository; empty: its root.
        quant: which of several GGUF files, by its quantisation (``Q4_K_M``); empty: none named.
    """

    repo: str
    revision: str | None = None
    path: str = ""
    quant: str = ""

    @property
    def lasting(self) -> bool:
        """Whether the revision is a commit, whose content never changes."""
        return bool(self.revision and re.fullmatch(_COMMIT, self.revision))

    @property
    def at(self) -> str:
        """The repository at the revision, which a path can follow."""
        return f"hf:{self.repo}{f'@{self.revision}' if self.revision else ''}"

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        path = f"/{self.path}" if self.path else ""
        return f"{self.repo}{revision}{path}{f':{self.quant}' if self.quant else ''}"


def endpoint() -> str:
    """Return the address of the hub that is asked: ``HF_ENDPOINT``, else the public one."""
    return (os.environ.get("HF_ENDPOINT") or PUBLIC).rstrip("/")


def check_endpoint() -> None:
    """Refuse an ``HF_ENDPOINT`` that is no address.

    Raises:
        UsageError: it is none.
    """
    address = endpoint()
    try:
        parts = urlsplit(address)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or any(char.isspace() for char in address):
        raise UsageError(f"HF_ENDPOINT is {address[:200]!r}, which is no address; write https://host")


def parse_reference(ref: str, *, short: bool = False) -> HubReference | None:
    """Return the model that ``ref`` names on the hub, or ``None`` where it cannot be one.

    Args:
        ref: ``org/repo``, ``org/repo@revision``, ``org/repo:Q4_K_M``, ``org/repo/folder/file.gguf``, an
            address of the hub or of ``HF_ENDPOINT``, with or without its scheme.
        short: a name without a publisher (``gpt2``) is one, too.

    Raises:
        UsageError: it is an address of the hub that is no model.
    """
    text = ref.strip().removeprefix("hf:").removeprefix("//")
    address = hub_address(text)
    if address is not None:
        return _from_address(address, ref)
    match = re.fullmatch(_REPO, text) or (re.fullmatch(_SHORT, text) if short else None)
    if match:
        return HubReference(match["repo"], match["revision"], "", match["quant"] or "")
    return _with_path(text) if short else None


def _with_path(text: str) -> HubReference | None:
    """``org/repo[@revision]/folder/file``: asked for only where the hub was named."""
    parts = text.split("/")
    if len(parts) < 3 or not _safe(parts[2:]):  # noqa: PLR2004 - publisher, name, path
        return None
    match = re.fullmatch(_REPO, "/".join(parts[:2]))
    if not match or match["quant"]:
        return None
    return HubReference(match["repo"], match["revision"], "/".join(parts[2:]).strip("/"))


def hub_address(text: str) -> str | None:
    """Return path and query of an address of the hub or of ``HF_ENDPOINT``; ``None`` for any other text."""
    bare = re.sub(r"^https?://", "", text, flags=re.IGNORECASE)
    own = re.sub(r"^https?://", "", endpoint(), flags=re.IGNORECASE)
    if bare != text and own and (bare + "/").startswith(own + "/"):
        return bare[len(own) :]
    host, slash, rest = bare.partition("/")
    return f"/{rest}" if slash and host.lower() in HOSTS else None


def _from_address(address: str, ref: str) -> HubReference:
    split = urlsplit(address)
    parts = [unquote(part) for part in split.path.split("/") if part]
    if parts[:1] == ["models"]:
        parts = parts[1:]
    if parts and (parts[0] in _OTHER_KINDS or parts[0] == "api"):
        raise UsageError(f"{ref[:200]}: this is no model of the hub; give the page of a model, like org/name")
    view = next((index for index, part in enumerate(parts[:3]) if index and part in _VIEWS), None)
    named, rest = (parts[:view], parts[view + 1 :]) if view else (parts[:2], [])
    match = re.fullmatch(_REPO if len(named) > 1 else _SHORT, "/".join(named)) if named else None
    if not match or not _safe(rest[1:]):
        raise UsageError(
            f"{ref[:200]}: there is no model in this address; give the page of one, like org/name"
        )
    shown = parse_qs(split.query).get("show_file_info", [""])[0]  # the file viewer of a model's page
    revision = rest[0] if rest else match["revision"]
    path = "/".join(rest[1:]) or (shown if _safe(shown.split("/")) else "")
    return HubReference(match["repo"], None if revision == "main" else revision, path, match["quant"] or "")


def _safe(parts: list[str]) -> bool:
    return not any(part in {".", ".."} or "\\" in part or "\0" in part for part in parts)
