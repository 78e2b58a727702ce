"""Writing the record of catalogues, whole or not at all."""

import json
from pathlib import Path

from hwledger.library.catalogue.active import STATE, forget
from hwledger.library.catalogue.state import SCHEMA, State
from hwledger.library.files import make_folder, write_whole


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
    make_folder(folder)
    write_whole(folder / STATE, (json.dumps(document, indent=1) + "\n").encode())
    forget()
