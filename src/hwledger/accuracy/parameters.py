"""Parameter counts against those of the classes that transformers builds."""

from collections.abc import Iterable, Iterator

from hwledger.accuracy.result import Result
from hwledger.errors import HwledgerError
from hwledger.library.sources.catalogue import shipped_model


def replay_parameters(table: Iterable[dict[str, str]]) -> Iterator[Result]:
    """Yield total and active parameters of every catalogue model that transformers could build."""
    for row in table:
        try:
            census = shipped_model(row["model"]).census
        except HwledgerError:  # a count that cannot be made is a wrong one
            counts = {"total": 0, "active": 0}
        else:
            counts = {"total": census.total, "active": census.active}
        for name, count in counts.items():
            yield Result(
                engine="model", component=f"{name} parameters", regime="transformers' own count",
                case=row["model"], measured=int(row[name]), predicted=count, source=row["source"],
            )  # fmt: skip
