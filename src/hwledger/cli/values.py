"""Parameter types of the command line."""

import click

from hwledger.units import parse_money, parse_seconds, parse_size


class Size(click.ParamType[int]):
    """A whole number or a size: ``131072``, ``128k``, ``6.51GiB``."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        if isinstance(value, int):
            return value
        try:
            return parse_size(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Seconds(click.ParamType[float]):
    """A time: ``2s``, ``50ms``, ``1.5``."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds."""
        try:
            return parse_seconds(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Money(click.ParamType[float]):
    """Money per hour: ``2.50/h``, ``$2.50``."""

    name = "money"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the dollars per hour."""
        try:
            return parse_money(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
