"""Models of LM Studio: from its folder on this machine, found by path, name or through its server."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hwledger.errors import AmbiguousError, InputError, MissingError, UnreachableError
from hwledger.library.access import Access
from hwledger.model.spec import ModelSpec

if TYPE_CHECKING:
    from hwledger.library.checkpoint import Checkpoint
    from hwledger.library.lmstudio.listed import Listed
    from hwledger.library.lmstudio.store import Stored

MOST_NEAR: Final = 5
LONGEST: Final = 400
_NAME: Final = r"[A-Za-z0-9_][\w.-]{0,120}"
_KEY: Final = rf"(?:{_NAME}/){{0,3}}{_NAME}(?:@{_NAME})?"
_OWN: Final = rf"{_NAME}/{_NAME}(?:@{_NAME})?|{_NAME}@{_NAME}"


class LmStudioSource:
    """``lmstudio:NAME``, where NAME is a key, ``publisher/repository`` or a file of the models folder.

    The server says no layers, so a model is planned from the folder; the server helps to find the file.
    """

    name = "lmstudio"
    precedence = 71

    def candidates(self, ref: str) -> Sequence[str]:
        """Return what the folder has by this name, else the reference where it has the shape of a key."""
        found = _stored(ref)
        return found or ([ref] if re.fullmatch(_OWN, ref, re.ASCII) else [])

    def named(self, ref: str) -> Sequence[str]:
        """Return the models that the prefix ``lmstudio:`` can stand before."""
        return _stored(ref) or ([ref] if re.fullmatch(_KEY, ref, re.ASCII) else [])

    def open(self, ref: str, access: Access) -> ModelSpec:
        """Read the headers of the model's files; the server is asked where the name alone finds none."""
        from hwledger.library.lmstudio.store import match  # noqa: PLC0415 - start-up time

        found = match(ref) or _through_server(ref, access)
        if len(found) > 1:
            raise AmbiguousError(f"lmstudio:{ref}", [f"lmstudio:{model.ref}" for model in found])
        return _open(found[0], access)

    def nearest(self, ref: str) -> Sequence[str]:
        """Return models of the folder that are called like ``ref``."""
        from hwledger.library.lmstudio.store import stored  # noqa: PLC0415 - start-up time

        return _near(ref, stored())


def _stored(ref: str) -> list[str]:
    if not re.fullmatch(_KEY, ref, re.ASCII) and ("/" not in ref or len(ref) > LONGEST):
        return []
    from hwledger.library.lmstudio.store import match  # noqa: PLC0415 - start-up time

    return [model.ref for model in match(ref)]


def _open(model: "Stored", access: Access) -> ModelSpec:
    from hwledger.library.sources.local import local_spec, recalled  # noqa: PLC0415 - start-up time

    paths = [model.path] if model.file else sorted(model.path.iterdir())
    checkpoint = recalled([path for path in paths if path.is_file()], access, lambda: _read(model))
    if model.beside:
        note = (
            f"its vision or audio projector ({model.beside:,} bytes) is loaded beside it and is not counted"
        )
        checkpoint = replace(checkpoint, notes=(*checkpoint.notes, note))
    return local_spec(checkpoint, f"lmstudio:{model.ref}")


def _read(model: "Stored") -> "Checkpoint":
    from hwledger.library.checkpoint import read_checkpoint, read_gguf_checkpoint  # noqa: PLC0415
    from hwledger.library.files import LocalFiles  # noqa: PLC0415 - start-up time

    if model.file:
        return read_gguf_checkpoint(LocalFiles(model.path.parent), model.path.name)
    return read_checkpoint(LocalFiles(model.path))


def _through_server(ref: str, access: Access) -> list["Stored"]:
    """Return the files of the model that the server knows by this name.

    Raises:
        MissingError: it has no such model, or has it where it cannot be read.
        UnreachableError: no folder and no server are to be found.
    """
    from hwledger.library.lmstudio.listed import named  # noqa: PLC0415 - start-up time
    from hwledger.library.lmstudio.server import base_url, list_models  # noqa: PLC0415
    from hwledger.library.lmstudio.store import models_folders, stored  # noqa: PLC0415 - start-up time

    known = stored()
    try:
        listed = list_models(access)
    except (UnreachableError, InputError) as error:
        if known:
            raise MissingError(f"{_no_such(ref, _near(ref, known))} ({error})") from None
        looked = ", ".join(map(str, models_folders()))
        raise UnreachableError(
            f"LM Studio is not to be found for {ref}: no models in {looked}, and {error}; start its server,"
            " or say where it is with LMSTUDIO_BASE_URL"
        ) from None
    model = named(listed, ref)
    if model is None:
        from difflib import get_close_matches  # noqa: PLC0415 - start-up time

        near = get_close_matches(ref, [each.key for each in listed], MOST_NEAR, 0.5)
        raise MissingError(_no_such(ref, near or _near(ref, known)))
    found = [each for each in known if _is(each, model)]
    if not found:
        raise MissingError(_elsewhere(model, base_url()))
    return found


def _is(stored: "Stored", listed: "Listed") -> bool:
    """Whether a file of the folder is the model of the list: alike by name and packing, equal by size."""
    from hwledger.library.lmstudio.store import key_of, same_label  # noqa: PLC0415 - start-up time

    key = key_of(listed.key.rpartition("/")[2]).removeprefix("text-embedding-")
    if listed.quantisation and stored.label and not same_label(stored.label, listed.quantisation):
        return False
    same_size = listed.size in {stored.size, stored.size + stored.beside}
    return key in stored.names or (same_size and any(name.startswith(key) for name in stored.names))


def _elsewhere(model: "Listed", url: str) -> str:
    hint = f"plan its repository on the hub, for example hf:{model.repository}" if model.repository else (
        "plan its repository on the hub"
    )  # fmt: skip
    return (
        f"LM Studio at {url} has {model.key} ({model.words}), but its file is not in a models folder of this"
        f" machine and the server says no layers; {hint}"
    )


def _no_such(ref: str, near: Sequence[str]) -> str:
    hint = f"did you mean {', '.join(near)}?" if near else "list what there is with: hwledger models"
    return f"LM Studio has no model {ref} here; {hint}"


def _near(ref: str, known: Sequence["Stored"]) -> list[str]:
    from hwledger.library.near import closest  # noqa: PLC0415 - start-up time

    return closest(ref, {name: model.ref for model in known for name in model.names}, MOST_NEAR)
