"""``hwledger reconcile``."""

from pathlib import Path

import click

from hwledger.cli.access import access_options


@click.command("reconcile")
@click.argument("address", metavar="ADDRESS")
@click.option("--device", metavar="DEVICES", help="What it runs on, as for plan; its plan then has a speed.")
@click.option(
    "--option", "options", multiple=True, metavar="KEY=VALUE",
    help="A setting that the engine does not state, by its own name: n_gpu_layers=0.",
)  # fmt: skip
@click.option(
    "--log", type=click.Path(path_type=Path), metavar="FILE",
    help="Its log, for the buffers that it does not tell over HTTP (llama.cpp: start it with -lv 4).",
)  # fmt: skip
@access_options
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (hwledger.reconciliation/1).")
def command(  # noqa: PLR0913 - one parameter per option
    address: str,
    device: str | None,
    options: tuple[str, ...],
    log: Path | None,
    revision: str | None,
    *,
    offline: bool,
    refresh: bool,
    as_json: bool,
) -> None:
    """Put what a running engine tells beside the plan of what it runs, term by term.

    ADDRESS is that of any engine that is known: vLLM, SGLang, TGI, llama.cpp, Ollama, LM Studio or
    mistral.rs. What it does not tell stays unknown, and what nothing explains is said as that.
    """
    import sys

    from hwledger.cli.access import reading
    from hwledger.reconciling import reconcile_server
    from hwledger.telemetry.recorded import read_text

    text = "" if log is None else read_text(log)
    with reading(revision=revision, offline=offline, refresh=refresh) as access:
        found = reconcile_server(address, device=device, options=options, log=text, access=access)
    if as_json:
        from hwledger.cli.output import write_json
        from hwledger.reconcile.document import reconciliation_document

        write_json(reconciliation_document(found))
        return
    from hwledger.cli.reconciled import draw

    draw(found, sys.stdout)
