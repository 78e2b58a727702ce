"""Where hwledger keeps what outlives one call: installed catalogues, and copies of what was downloaded."""

import os
from pathlib import Path


def data_dir() -> Path:
    """Return the folder of what the user chose to install; it need not exist.

    It is ``HWLEDGER_DATA_DIR`` where that is set, and else the operating system's place for a program's data.
    """
    chosen = os.environ.get("HWLEDGER_DATA_DIR")
    if chosen:
        return Path(chosen)
    from platformdirs import user_data_path  # noqa: PLC0415 - start-up time

    return user_data_path("hwledger", appauthor=False)


def cache_dir() -> Path:
    """Return the folder of what may be deleted at any time; it need not exist.

    It is ``HWLEDGER_CACHE_DIR`` where that is set, and else the operating system's place for caches.
    """
    chosen = os.environ.get("HWLEDGER_CACHE_DIR")
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_path  # noqa: PLC0415 - start-up time

    return user_cache_path("hwledger", appauthor=False)
