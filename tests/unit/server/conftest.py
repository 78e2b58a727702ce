"""A server for each file of tests."""

from collections.abc import Iterator

import pytest

from support.fleet_server import Served, served


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Give a server over an empty ledger, with a token for each role."""
    with served(tmp_path_factory.mktemp("server")) as one:
        yield one
