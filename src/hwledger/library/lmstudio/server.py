"""LM Studio's server: where it is, and what it says of its models in the newer and the older API."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from hwledger.errors import MalformedError, MissingError
from hwledger.library.access import Access
from hwledger.library.lmstudio.store import home_folders, key_of, read_settings
from hwledger.library.ollama.address import spelled_address
from hwledger.library.ollama.fields import mapping, rows, text, whole

if TYPE_CHECKING:
    from hwledger.library.net.http import Http

PORT: Final = 1234
LARGEST_PORT: Final = 65535
LONGEST_NAME: Final = 200
VARIABLE: Final = "LMSTUDIO_BASE_URL"
_API: Final = ("/v1", "/api/v1", "/api/v0", "/api")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One model as the server lists it; what it does not say is empty or ``None``.

    Attributes:
        key: what the server calls it.
        publisher: who published it.
        format: ``gguf`` or ``mlx``.
        architecture, quantisation, parameters: as stated.
        size: bytes on its disk.
        context: tokens that the model was made for.
        variants: keys of its quantisations.
        loaded: whether it is in memory.
        config: the settings that it was loaded with.
    """

    key: str
    publisher: str = ""
    format: str = ""
    architecture: str = ""
    quantisation: str = ""
    parameters: str = ""
    size: int | None = None
    context: int | None = None
    variants: tuple[str, ...] = ()
    loaded: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """What is known of it, for a sentence."""
        size = f"{self.size:,} bytes" if self.size else ""
        known = (self.architecture, self.parameters, self.quantisation, self.format, size)
        return ", ".join(part for part in known if part) or "nothing more"

    @property
    def repository(self) -> str:
        """The repository of the hub that is called like it; empty where its names make none."""
        name = key_of(self.key.rpartition("/")[2])
        if not self.publisher or not name or "/" in self.publisher:
            return ""
        if self.format == "mlx":
            return f"{self.publisher}/{name}{f'-{self.quantisation}' if self.quantisation else ''}"
        return f"{self.publisher}/{name}-GGUF{f':{self.quantisation}' if self.quantisation else ''}"


def base_url() -> str:
    """Return the address of the server: ``LMSTUDIO_BASE_URL``, else the port of its settings on this machine.

    Raises:
        UsageError: the variable is no address.
    """
    said = os.environ.get(VARIABLE, "").strip()
    url = spelled_address(VARIABLE, said, _port())
    ending = next((ending for ending in sorted(_API, key=len, reverse=True) if url.endswith(ending)), "")
    return url.removesuffix(ending)


def list_models(access: Access) -> list[Listed]:
    """Return the models that the server lists.

    Raises:
        UsageError: the address cannot be used.
        UnreachableError: nobody answers.
        MalformedError: who answers is not LM Studio.
    """
    from hwledger.library.net.http import Credential, Http  # noqa: PLC0415 - start-up time

    url, token = base_url(), os.environ.get("LM_API_TOKEN", "").strip()
    with Http(access, Credential(url, token) if token else None) as http:
        found = _list(http, f"{url}/api/v1/models", "models")
        if found is not None:
            return [model for row in found if (model := _newer(row)).key]
        found = _list(http, f"{url}/api/v0/models", "data")
    if found is None:
        raise MalformedError(f"{url} lists no models as LM Studio does; is this LM Studio 0.3.6 or newer?")
    return [model for row in found if (model := _older(row)).key]


def named(listed: list[Listed], ref: str) -> Listed | None:
    """Return the model of a list that ``ref`` names, by its key or one of its variants."""
    name, _, variant = ref.lower().partition("@")
    for model in listed:
        known = {model.key.lower(), *(key.lower() for key in model.variants)}
        if ref.lower() in known:
            return model
        if name in known and variant in {"", model.quantisation.lower()}:
            return model
    return None


def _list(http: "Http", url: str, key: str) -> list[Mapping[str, Any]] | None:
    """Return the list at ``url``; ``None`` where the server does not know it.

    Older servers answer 200 with an error to paths that they do not know.
    """
    try:
        found = mapping(http.fetch_json(url)).get(key)
    except MissingError:
        return None
    return rows(found) if isinstance(found, list) else None


def _newer(row: Mapping[str, Any]) -> Listed:
    instances = rows(row.get("loaded_instances"))
    variants = row.get("variants")
    return Listed(
        key=_name(row.get("key")), publisher=_name(row.get("publisher")), format=_name(row.get("format")),
        architecture=_name(row.get("architecture")),
        quantisation=_name(mapping(row.get("quantization")).get("name")),
        parameters=_name(row.get("params_string")), size=whole(row.get("size_bytes")),
        context=whole(row.get("max_context_length")),
        variants=tuple(_name(each) for each in variants) if isinstance(variants, list) else (),
        loaded=bool(instances), config=mapping(instances[0].get("config")) if instances else {},
    )  # fmt: skip


def _older(row: Mapping[str, Any]) -> Listed:
    loaded, context = row.get("state") == "loaded", whole(row.get("loaded_context_length"))
    return Listed(
        key=_name(row.get("id")), publisher=_name(row.get("publisher")),
        format=_name(row.get("compatibility_type")), architecture=_name(row.get("arch")),
        quantisation=_name(row.get("quantization")), context=whole(row.get("max_context_length")),
        loaded=loaded, config={"context_length": context} if loaded and context else {},
    )  # fmt: skip


def _name(value: object) -> str:
    return text(value)[:LONGEST_NAME]


def _port() -> int:
    for home in home_folders():
        port = whole(read_settings(home / ".internal" / "http-server-config.json").get("port"))
        if port and port <= LARGEST_PORT:
            return port
    return PORT
