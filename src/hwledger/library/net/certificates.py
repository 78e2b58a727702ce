"""Which certificates are trusted."""

import os
import ssl
from functools import cache
from typing import Final

import httpx2

from hwledger.errors import UsageError

VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def certificates() -> ssl.SSLContext:
    """Return what to trust: a bundle named by the environment, else the system's certificates.

    ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` are OpenSSL's own; the other two are those that curl and requests
    know, so that one setting serves all.

    Raises:
        UsageError: the bundle cannot be used.
    """
    return _trusting(*(os.environ.get(name, "") for name in VARIABLES))


@cache
def _trusting(*bundles: str) -> ssl.SSLContext:
    """Return one context per setting: making one takes longer than a request on a local network."""
    for name, bundle in zip(VARIABLES, bundles, strict=True):
        if bundle:
            try:
                if os.path.isdir(bundle):  # noqa: PTH112 - a string goes on to ssl
                    return ssl.create_default_context(capath=bundle)
                return ssl.create_default_context(cafile=bundle)
            except (OSError, ssl.SSLError) as error:
                raise UsageError(f"{name}={bundle} is no usable bundle of certificates ({error})") from None
    return httpx2.create_ssl_context(trust_env=False)
