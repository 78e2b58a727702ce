"""Which Python packages are installed here; none is imported."""

from importlib.metadata import PackageNotFoundError, version


def package(name: str) -> str:
    """Return the version of a package; empty where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
