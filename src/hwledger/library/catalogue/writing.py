"""Writing catalogues and the record of them: each file whole or not at all."""

import json
import os
import tempfile
from pathlib import Path

from hwledger.errors import InputError
from hwledger.library.catalogue.active import STATE, forget
from hwledger.library.catalogue.state import SCHEMA, State


def write_state(folder: Path, state: State) -> None:
    """Replace the record, whole or not at all.

    Raises:
        InputError: it cannot be written; the one before stays.
    """
    document = {
        "schema": SCHEMA,
        "active": state.active,
        "installed": [one._asdict() for one in state.installed],
        "history": [change._asdict() for change in state.history],
    }
    write_whole(folder / STATE, (json.dumps(document, indent=1) + "\n").encode())
    forget()


def write_whole(path: Path, raw: bytes) -> None:
    """Write a file whole or not at all, also when the machine stops or others write it at the same time.

    Raises:
        InputError: it cannot be written.
    """
    draft = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except OSError as error:
        if draft:
            Path(draft).unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
