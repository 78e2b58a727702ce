"""The file in which a user describes devices and nodes of their own."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hwledger.errors import InputError, MissingError
from hwledger.library.paths import data_dir

if TYPE_CHECKING:
    from hwledger.device.catalogue import Own

VARIABLE: Final = "HWLEDGER_DEVICES"
MOST_BYTES: Final = 1 << 20


def own_devices_path() -> Path:
    """Return the file: what ``HWLEDGER_DEVICES`` names, else ``devices.toml`` in the data folder."""
    chosen = os.environ.get(VARIABLE)
    return Path(chosen).expanduser() if chosen else data_dir() / "devices.toml"


def own_devices() -> "Own":
    """Return the devices and nodes that the user defined; none where there is no file.

    Raises:
        MissingError: ``HWLEDGER_DEVICES`` names a file that is not there.
        InputError: the file cannot be read, or something in it is wrong; the sentence says where.
    """
    from hwledger.device.catalogue import NOTHING  # noqa: PLC0415 - start-up time

    path = own_devices_path()
    text = _text(path)
    if text is None:
        if os.environ.get(VARIABLE):
            raise MissingError(f"{path}: is not there; {VARIABLE} names it, correct or unset that")
        return NOTHING
    from hwledger.device.own import parse_own  # noqa: PLC0415 - start-up time

    return parse_own(text, str(path))


def _text(path: Path) -> str | None:
    """Return the content of a file of at most 1 MiB; ``None`` where there is none."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise InputError(f"{path}: is larger than 1 MiB; describe devices, nothing else, in it")
        return content.decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is no UTF-8 text; save it as such") from None
    except ValueError:  # a name with a zero byte
        return None
