"""HTTP as every remote source uses it: bounded, guarded, in sentences."""

__all__ = ["fetch_bytes"]


def fetch_bytes(url: str, limit: int) -> bytes:
    """Return what is at ``url`` as a whole.

    Args:
        url: an ``http://`` or ``https://`` address.
        limit: bytes that are believed; more are refused.

    Raises:
        MissingError: nothing is there.
        UnreachableError: the server does not answer, or sends more than ``limit``.
    """
    from hwledger.library.access import Access  # noqa: PLC0415 - start-up time
    from hwledger.library.net.http import Http  # noqa: PLC0415

    with Http(Access()) as http:
        return http.fetch(url, limit)
