"""GGUF files (also split ones) and config.json files at plain web addresses."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hwledger.errors import InputError
from hwledger.library.access import Access
from hwledger.model.origin import Origin, Place
from hwledger.model.spec import ModelSpec

if TYPE_CHECKING:
    from hwledger.library.remembered import Read

ENDINGS = (".gguf", ".json")


class WebSource:
    """``https://host/…/model.gguf``: the header is read by range requests."""

    name = "web"
    precedence = 40

    def candidates(self, ref: str) -> Sequence[str]:
        """Return the address where it names a file that this source reads."""
        scheme, colon, rest = ref.partition("://")
        if not colon or scheme.lower() not in {"http", "https"}:
            return []
        from hwledger.library.hub.reference import hub_address  # noqa: PLC0415 - start-up time

        if hub_address(ref) is not None:
            return []
        path = rest.partition("#")[0].partition("?")[0]
        return [ref.partition("#")[0]] if path.lower().endswith(ENDINGS) and "/" in path else []

    def named(self, ref: str) -> Sequence[str]:
        """Return the same: an address is an address."""
        return self.candidates(ref)

    def open(self, ref: str, access: Access) -> ModelSpec:
        """Read the header, or what is remembered of it."""
        from hwledger.library.remembered import remembered  # noqa: PLC0415 - start-up time

        return remembered(
            f"web|{ref}", access, lambda: _read(ref, access), identity=lambda: _identity(ref, access)
        )

    def nearest(self, ref: str) -> Sequence[str]:
        """Return nothing: an address is right or wrong."""
        del ref
        return ()


def _read(url: str, access: Access) -> "Read":
    from hwledger.library.checkpoint import read_checkpoint, read_gguf_checkpoint  # noqa: PLC0415
    from hwledger.library.net.http import Http  # noqa: PLC0415 - start-up time
    from hwledger.library.net.remote_files import WebFiles  # noqa: PLC0415
    from hwledger.library.net.replies import plain  # noqa: PLC0415
    from hwledger.library.remembered import Read  # noqa: PLC0415
    from hwledger.model.reading import Reading  # noqa: PLC0415

    with Http(access) as http:
        files = WebFiles(http, access, url)
        if files.first.lower().endswith(".gguf"):
            found = read_gguf_checkpoint(files, files.first)
        elif files.first == "config.json" or files.first.endswith(".json"):
            found = read_checkpoint(files, files.first)
        else:
            raise InputError(f"{plain(url)}: neither a .gguf nor a .json file")
        shown = plain(url)
        origin = Origin(place=Place.WEB, name=shown, withheld=shown != url)
        found = replace(found, origin=origin)
        reading = Reading(shown, files.counter.opened, http.bytes_read, http.requests)
        return Read(found, reading, identity=files.identity)


def _identity(url: str, access: Access) -> str:
    """Return what the server calls the file at an address now; it costs the first part of it."""
    from hwledger.library.net.http import Http  # noqa: PLC0415 - start-up time
    from hwledger.library.net.remote_files import WebFiles  # noqa: PLC0415

    with Http(access) as http:
        files = WebFiles(http, access, url)
        with files.open(files.first):
            return files.identity
