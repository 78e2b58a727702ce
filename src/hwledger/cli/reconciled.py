"""Drawing a reconciliation."""

from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from hwledger.reconcile.asked import Asked
    from hwledger.reconcile.term import Reconciliation


def draw(found: "Reconciliation", stream: IO[str], when: str = "") -> None:
    """Write predicted beside measured to a stream; ``when``: a line on the record that it is from."""
    from contextlib import redirect_stdout

    from hwledger.cli.output import line_width, printable, styled
    from hwledger.cli.table import wrapped, write_lines, write_table
    from hwledger.screens.run import TERM_COLUMNS, reconciliation_screen

    screen = reconciliation_screen(found)
    with redirect_stdout(stream):

        def say(text: str, *styles: str) -> None:
            width = line_width()
            plain = printable(text)
            lines = [plain] if width is None else wrapped(plain, width)
            write_lines([styled(line, *styles) for line in lines])

        if when:
            say(when)
        say(screen.title, "bold")
        write_table(TERM_COLUMNS, screen.rows)
        for line in screen.accounts:
            say(line)
        for line in screen.unknown:
            say(f"Not known: {line}", "dim")
        for line in screen.notes:
            say(f"Note: {line}", "yellow")


def draw_asked(asked: "Asked") -> None:
    """Write what an engine says that it would allocate beside the plan, to stdout."""
    from hwledger.cli.output import line_width, printable, styled
    from hwledger.cli.table import wrapped, write_lines, write_table
    from hwledger.screens.run import TERM_COLUMNS, asked_title, term_rows

    write_lines(["", styled(printable(asked_title(asked)), "bold")])
    write_table(TERM_COLUMNS, term_rows(asked.terms))
    width = line_width()
    for note in asked.notes:
        text = printable(f"Note: {note}")
        write_lines([text] if width is None else wrapped(text, width))
