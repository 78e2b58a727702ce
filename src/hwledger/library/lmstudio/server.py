"""LM Studio's server: where it is, and the models that it lists."""

import os
from typing import TYPE_CHECKING, Any, Final

from hwledger.errors import MalformedError, MissingError
from hwledger.library.access import Access
from hwledger.library.fields import whole
from hwledger.library.lmstudio.listed import Listed, newer_list, older_list
from hwledger.library.lmstudio.store import home_folders, read_settings
from hwledger.library.net.address import reaching, spelled_address

if TYPE_CHECKING:
    from hwledger.library.net.http import Http

PORT: Final = 1234
LARGEST_PORT: Final = 65535
VARIABLE: Final = "LMSTUDIO_BASE_URL"
_API: Final = ("/api/v1", "/api/v0", "/api", "/v1")


def base_url() -> str:
    """Return the address of the server: ``LMSTUDIO_BASE_URL``, else the port of its settings on this machine.

    Raises:
        UsageError: the variable is no address.
    """
    url = spelled_address(VARIABLE, os.environ.get(VARIABLE, ""), _port())
    ending = next((ending for ending in _API if url.endswith(ending)), "")
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
    with Http(reaching(access, url), Credential(url, token) if token else None) as http:
        found = newer_list(_reply(http, f"{url}/api/v1/models"))
        if found is None:
            found = older_list(_reply(http, f"{url}/api/v0/models"))
    if found is None:
        raise MalformedError(f"{url} lists no models as LM Studio does; is this LM Studio 0.3.6 or newer?")
    return found


def _reply(http: "Http", url: str) -> Any:
    try:
        return http.fetch_json(url)
    except MissingError:
        return None


def _port() -> int:
    for home in home_folders():
        port = whole(read_settings(home / ".internal" / "http-server-config.json").get("port"))
        if port and port <= LARGEST_PORT:
            return port
    return PORT
