"""Reading the data files that ship in the package."""

from pkgutil import get_data


def shipped_bytes(package: str, name: str) -> bytes:
    """Return a data file of a package: ``shipped_bytes("hwledger.device", "data/nodes.csv")``.

    It works wherever the package lies, in a folder or in an archive; ``importlib.resources`` does too, but
    takes 10 ms to import, which is more than most plans take to compute.

    Raises:
        OSError: there is no such file.
    """
    content = get_data(package, name)
    if content is None:  # a loader that holds no files
        raise FileNotFoundError(f"{package}: {name} is not in the package")
    return content


def shipped_text(package: str, name: str) -> str:
    """Return a data file of a package as text.

    Raises:
        OSError: there is no such file.
    """
    return shipped_bytes(package, name).decode("utf-8")
