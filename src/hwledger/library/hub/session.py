"""One conversation with the hub: ``huggingface_hub`` on our guarded client, its refusals as sentences."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final, TypeVar

import httpx2
from huggingface_hub import HfApi, close_session, get_token, set_client_factory
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.utils._http import default_client_factory

from hwledger.errors import (
    DeniedError,
    HwledgerError,
    MissingError,
    OfflineError,
    UnknownNameError,
    UnreachableError,
    UsageError,
)
from hwledger.library.access import Access, offline_words
from hwledger.library.hub.reference import check_endpoint, endpoint
from hwledger.library.net.http import Credential, Http

TIMEOUT_S: Final = 30.0
_INVALID: Final = "Invalid credentials in Authorization header"
"""What the hub says of a token that it does not know (huggingface_hub 2.4.0 ``utils/_http.py``)."""
Result = TypeVar("Result")
# the library keeps one client per process; two conversations at once would swap it under each other
_ONE_AT_A_TIME: Final = threading.RLock()


class Hub:
    """A conversation with the hub at ``endpoint()``.

    Attributes:
        http: our client, which the library uses too.
        api: the library's client.
        signed_in: a token is sent.
    """

    def __init__(self, http: Http, api: HfApi, *, signed_in: bool) -> None:
        self.http = http
        self.api = api
        self.signed_in = signed_in

    def ask(self, about: str, revision: str | None, question: Callable[[HfApi], Result]) -> Result:
        """Return what ``question`` gives of the library's client.

        Raises:
            MissingError, DeniedError: the hub refuses, in a sentence about ``about``.
            UnreachableError: it does not answer, or not as a hub does.
            MalformedError: what it says cannot be.
        """

        def once() -> Result:
            try:
                return question(self.api)
            except HfHubHTTPError as error:
                raise self.refusal(error.response, about, revision) from None
            except OfflineModeIsEnabled:
                raise OfflineError(f"{about} is not asked for: HF_HUB_OFFLINE is set") from None
            except HFValidationError as error:
                raise UsageError(f"{about} is no name of a model on the hub: {error}") from None
            except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
                raise UnreachableError(
                    f"{endpoint()} answers about {about} as no hub does; is it the address of a hub"
                    " (HF_ENDPOINT), does a login page or a proxy answer in its place?"
                ) from None

        return self.http.trying(endpoint(), once)

    def explain(self, about: str, revision: str | None) -> Callable[[httpx2.Response], HwledgerError | None]:
        """Return what turns a refused file into the hub's own reason."""

        def explained(response: httpx2.Response) -> HwledgerError | None:
            if "x-error-code" not in response.headers:
                return None
            return self.refusal(response, about, revision)

        return explained

    def refusal(self, response: httpx2.Response, about: str, revision: str | None) -> HwledgerError:
        """Return what a refusing reply means (the hub's ``X-Error-Code`` says more than the status)."""
        code, status = response.headers.get("x-error-code", ""), response.status_code
        page = f"{endpoint()}/{about}"
        if code == "GatedRepo":
            return self._gated(about, page)
        if status == HTTPStatus.UNAUTHORIZED and _message(response) == _INVALID:
            how = "run: hf auth login, or unset HF_TOKEN"
            return DeniedError(f"{endpoint()} does not know your token, or it has expired; {how}")
        if code == "RevisionNotFound":
            return MissingError(f"{about} has no branch, tag or commit {revision!r}; see {page}/tree/main")
        if code == "EntryNotFound":
            tree = f"{page}/tree/{revision or 'main'}"
            return MissingError(f"{about}: a file that should be there is not; see {tree}")
        if status in {401, 404} or code == "RepoNotFound":
            token = "your token cannot see it" if self.signed_in else "it is private (then set HF_TOKEN)"
            search = f"hwledger models --hub {about.rpartition('/')[2]}"
            return UnknownNameError(f"the hub has no model {about}, or {token}; to search: {search}")
        return self._other(response, about, page)

    def _gated(self, about: str, page: str) -> DeniedError:
        how = "your token's account has not been let in yet" if self.signed_in else "no token was sent"
        return DeniedError(
            f"{about} is gated and {how}: accept its terms at {page}, then set HF_TOKEN or run: hf auth login"
        )

    @staticmethod
    def _other(response: httpx2.Response, about: str, page: str) -> HwledgerError:
        status = response.status_code
        if status == HTTPStatus.FORBIDDEN:
            said = _message(response) or status
            return DeniedError(f"{about}: the hub does not allow it ({said}); see {page}")
        return UnreachableError(f"{endpoint()} answers {status} about {about}; ask again later")


@contextmanager
def hub_session(access: Access) -> Iterator[Hub]:
    """Open a conversation with the hub; the token goes to it alone, never along a redirect.

    Raises:
        OfflineError: the network is not to be used.
        UsageError: ``HF_ENDPOINT`` or the proxy settings cannot be used.
    """
    if access.offline:
        raise OfflineError(f"{endpoint()} is not asked: the network is switched off ({offline_words()})")
    check_endpoint()
    token = get_token()
    with _ONE_AT_A_TIME, Http(access, Credential(endpoint(), token) if token else None) as http:
        hooks = http.client.event_hooks
        http.client.event_hooks = {**hooks, "request": [_refuse_unasked, *hooks["request"]]}
        set_client_factory(lambda: http.client)
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # what goes wrong is said once, by us
        http.on_busy = "" if token else ", or sign in: HF_TOKEN has higher limits"
        try:
            yield Hub(
                http, HfApi(endpoint=endpoint(), token=False, library_name="hwledger"), signed_in=bool(token)
            )
        finally:
            close_session()
            set_client_factory(default_client_factory)


def _refuse_unasked(request: httpx2.Request) -> None:
    """Stop what the library would ask on its own account: a list of programs that may be calling it.

    It does so when it makes its headers (huggingface_hub 2.4.0 ``utils/_detect_agent.py``) and takes any
    exception as "not known".
    """
    if request.url.path.endswith("/api/agent-harnesses"):
        raise OfflineError("nobody asked for this")


def _message(response: httpx2.Response) -> str:
    return " ".join(response.headers.get("x-error-message", "").split())[:200]
