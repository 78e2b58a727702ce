"""Which certificates are trusted."""

import os
import ssl
from typing import Final

from hwledger.errors import UsageError

CA_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def certificates() -> ssl.SSLContext | bool:
    """Return the certificates to trust: a bundle named by the environment, else the system's.

    ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` are read by the client itself; the two here are those that curl
    and requests know, so that one setting serves all.
    """
    if os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        return True
    for name in CA_VARIABLES:
        bundle = os.environ.get(name)
        if bundle:
            try:
                folder = os.path.isdir(bundle)  # noqa: PTH112 - a string goes on to ssl
                return (
                    ssl.create_default_context(capath=bundle)
                    if folder
                    else ssl.create_default_context(cafile=bundle)
                )
            except (OSError, ssl.SSLError) as error:
                raise UsageError(f"{name}={bundle} is no usable bundle of certificates ({error})") from None
    return True
