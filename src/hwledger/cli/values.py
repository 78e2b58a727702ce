"""Parameter types of the command line."""

import click

from hwledger.units import parse_size


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
