"""Starting a server: where it may listen, by which names it is known, and which ledger it does not serve."""

import shutil
import socket
from pathlib import Path

import pytest

from hwledger.errors import AlteredError, UsageError
from hwledger.server import up
from hwledger.server.listening import Places, bound, is_loopback, names_of

pytestmark = [pytest.mark.requirement("FR-FLEET-UP"), pytest.mark.enable_socket]
ANY = Places(local_port=0, public_port=0, agents_port=0)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])  # noqa: S104 - they are refused
def test_no_plain_http_beyond_this_machine(host: str) -> None:
    """Whatever else others could reach is refused for the listener without TLS."""
    assert not is_loopback(host)
    with pytest.raises(UsageError, match="without TLS"), bound(Places(local_host=host)):
        pass


def test_names_by_which_others_reach_it() -> None:
    """What was given comes first, loopback is always there, and an address of everywhere is no name."""
    assert names_of(Places()) == ("127.0.0.1", "localhost")
    assert names_of(Places("10.0.0.7", names=("gpu.example",)))[:2] == ("gpu.example", "10.0.0.7")
    found = names_of(Places("0.0.0.0"))  # noqa: S104 - a name for it
    assert "0.0.0.0" not in found  # noqa: S104 - likewise
    assert socket.gethostname().lower() in found


def test_a_port_that_is_taken_is_named_with_its_option() -> None:
    """Each of the three ports is refused with what to give instead."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for name, option in (("local", "--port"), ("public", "--public-port"), ("agents", "--agents-port")):
            ports = {f"{one}_port": 0 for one in ("local", "public", "agents")} | {f"{name}_port": port}
            with pytest.raises(UsageError, match=option), bound(Places(**ports)):
                pass


def test_an_old_copy_is_not_served(tmp_path: Path) -> None:
    """A ledger that is put back to before its last note is refused at the start, with the way out."""
    folder = tmp_path / "data"
    settings = up.Settings(folder / "ledger.db", folder, ANY)
    with bound(ANY) as listening:
        with up.opened(settings) as store, up._site(settings, store, listening):
            pass
        shutil.copy(folder / "ledger.db", tmp_path / "old.db")
        with up.opened(settings) as store, up._site(settings, store, listening) as site:
            site.side.fleet.store.append([site.side.fleet.event("auth.login", "user/a", {"user": "a"})])
        with up.opened(settings) as store, up._site(settings, store, listening):
            pass  # signs what was added
        shutil.copy(tmp_path / "old.db", folder / "ledger.db")
        with (
            pytest.raises(AlteredError, match="ledger-keys"),
            up.opened(settings) as store,
            up._site(settings, store, listening),
        ):
            pass
