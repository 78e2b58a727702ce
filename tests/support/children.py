"""The processes that the tests' own process started and that run still."""

import psutil

_OF_THE_TESTS = {"postgres"}
"""The database of the whole run is a child, too; it ends with it."""


def children() -> list[psutil.Process]:
    """Return the children of this process, but for those that the tests keep for their whole run."""
    return [each for each in psutil.Process().children() if each.name() not in _OF_THE_TESTS]
