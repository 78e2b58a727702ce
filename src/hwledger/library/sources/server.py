"""Running inference engines at an address: the model that they run."""

from collections.abc import Sequence

from hwledger.library.access import Access
from hwledger.model.spec import ModelSpec


class ServerSource:
    """``http://localhost:8000``: whatever engine answers there is asked which model it runs."""

    name = "server"
    precedence = 5

    def candidates(self, ref: str) -> Sequence[str]:
        """Return the address where it is one of a server rather than of a file."""
        if ":" not in ref:  # neither a scheme nor a port
            return []
        from hwledger.library.serving.address import is_server  # noqa: PLC0415 - start-up time

        return [ref] if is_server(ref) else []

    def named(self, ref: str) -> Sequence[str]:
        """Return the same: an address is an address."""
        return self.candidates(ref)

    def open(self, ref: str, access: Access) -> ModelSpec:
        """Read the model that the server says it runs, from where that model is found."""
        from hwledger.library.deploy import open_deployed  # noqa: PLC0415 - start-up time
        from hwledger.library.serving.detect import probe  # noqa: PLC0415

        return open_deployed(probe(ref, access), access)

    def nearest(self, ref: str) -> Sequence[str]:
        """Return nothing: an address is right or wrong."""
        del ref
        return ()
