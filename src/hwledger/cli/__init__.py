"""The command line: ``hwledger COMMAND``; one file a command, loaded only when it is called."""

import errno
import gc
import io
import os
import sys
from importlib import import_module

import click

from hwledger.errors import HwledgerError, InputError, UsageError

INTERRUPTED = 130
COLLECT_AFTER = 50_000
"""New objects after which the garbage collector looks for cycles: loading modules makes many, and none."""
NOT_WRITTEN = {errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG}

COMMANDS = {
    "accuracy": "replay every known measurement and print how right the plans are",
    "agent": "let this machine be a host of a fleet: join, run, status, leave, install-service",
    "bench": "measure a model at several contexts and numbers of users, beside its plans",
    "cache": "look at, check and empty what is kept of prompts on disk",
    "calibrate": "correct figures of speed by measured runs of your own",
    "catalogue": "keep the catalogue up to date, pinned or as shipped",
    "compare": "compare models, devices and quantisations side by side",
    "devices": "list accelerators and nodes, or show one with the source of each figure",
    "engines": "list the engines that can run models here, and how to install the others",
    "events": "list the events of a ledger, or follow them as they come",
    "fit": "list what this machine or other devices can run, and how fast",
    "host": "show a machine of the fleet, let it in, let it go or keep it out",
    "hosts": "list the machines of the fleet as they are now",
    "history": "show what is on record of a model or a host",
    "ledger": "check, prove, sign, export and copy a ledger file",
    "models": "list models of the catalogue, of this machine or of the hub",
    "plan": "plan the memory of a model on an engine and devices",
    "probe": "show every accelerator and engine of this machine as it is now",
    "reconcile": "put what a running engine tells beside the plan of what it runs",
    "run": "run a model on an engine of this machine, and say whether the plan was right",
    "serve": "serve a model to programs of this machine as OpenAI's servers do",
    "serve-metrics": "serve the telemetry of this machine to Prometheus",
    "show": "show what a model is and where each fact came from",
    "token": "make and list the tokens with which machines join the fleet",
    "top": "watch devices, processes and engines of this machine live",
    "up": "start the server of a fleet on this machine",
    "user": "make, list and revoke the tokens of the server's users",
}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all command names without importing any."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"hwledger.cli.{cmd_name.replace('-', '_')}").command
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, so that help imports nothing."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hwledger", message="hwledger %(version)s")
def hwledger() -> None:
    """Will this model run on this hardware? Exact memory plans, layer by layer.

    Exit codes: 0 ok, 1 internal error, 2 usage, 3 does not fit, 4 input unusable, 5 not reachable,
    6 an engine failed, 130 interrupted.
    """


def main() -> None:
    """Run the command line and leave with the documented exit code."""
    gc.set_threshold(COLLECT_AFTER)  # start-up time: a tenth of a plan goes into looking in vain
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Return the exit code of one call; every error ends in one sentence on stderr."""
    _open_closed()
    if sys.stdout is None:
        return _say("there is nowhere to write to: the standard output is closed", 1)
    _lenient(sys.stdout)
    _lenient(sys.stderr)
    try:
        code = hwledger.main(arguments, prog_name="hwledger", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        return _reader_left()
    except SystemExit as leaving:
        # click wraps the output and leaves with 1 where a pipe breaks
        if type(sys.stdout).__name__.endswith("PacifyFlushWrapper"):
            sys.stdout = sys.__stdout__
            return _reader_left()
        return leaving.code if isinstance(leaving.code, int) else 1
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("HWLEDGER_DEBUG"):
            raise
        return _say(*_sentence(error, arguments))
    return code if isinstance(code, int) else 0


def _open_closed() -> None:
    """Give a program that was started without an input or a place for complaints empty ones.

    Files that are opened later would take their numbers, and be written to by libraries that complain.
    """
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - open as long as the program
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - likewise


def _lenient(stream: object) -> None:
    """Let a terminal of an older encoding show an escape instead of failing halfway."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def _reader_left() -> int:
    """Close quietly: the reader (head, less) has what it wanted."""
    _abandon()
    return 0


def _abandon() -> None:
    """Send what is still to be written nowhere, so that leaving does not fail on it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)


def _sentence(error: BaseException, arguments: list[str]) -> tuple[str, int]:
    """Return what to say of an error, and the exit code."""
    if isinstance(error, HwledgerError):
        return str(error), error.exit_code
    if isinstance(error, (KeyboardInterrupt, click.exceptions.Abort)):
        return "interrupted", INTERRUPTED
    if isinstance(error, click.ClickException):
        return f"{error.format_message().rstrip('.')}{_quoting(error, arguments)}", UsageError.exit_code
    if isinstance(error, OSError) and error.filename is None and error.errno in NOT_WRITTEN:
        _abandon()
        return f"the output could not be written ({error.strerror})", 1
    return _unforeseen(error)


def _unforeseen(error: BaseException) -> tuple[str, int]:
    if isinstance(error, MemoryError):
        return "there is not enough memory to read this", InputError.exit_code
    kind = type(error).__name__
    return f"internal error ({kind}: {error}); HWLEDGER_DEBUG=1 shows where; please report it", 1


def _quoting(error: click.ClickException, arguments: list[str]) -> str:
    """Return how to give a command line that was pasted without quotes; empty where none was."""
    if not isinstance(error, click.NoSuchOption):
        return ""
    from hwledger.library.commands import is_command

    pasted = " ".join(arguments[1:])
    return "; put quotes around a pasted command: hwledger plan '…'" if is_command(pasted) else ""


def _say(message: str, code: int) -> int:
    from hwledger.cli.output import printable

    if sys.stderr is not None:
        sys.stderr.write(f"hwledger: {printable(' '.join(message.split()))}\n")
    return code
