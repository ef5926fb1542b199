"""``sweeps promote``: the winner of a sweep becomes a version in MLflow's model registry."""

from __future__ import annotations

import json
from pathlib import Path

import click

from sweeps.options import json_option, out_option, uri_option


@click.command(short_help="Register the best model of a sweep.")
@click.argument("sweep")
@click.option("--name", help="Name of the registered model. [default: the study's]")
@click.option("--alias", default="champion", show_default=True, help="What shall point to this version.")
@out_option
@uri_option
@json_option
def promote(
    sweep: str, name: str | None, alias: str, out: Path, tracking_uri: str | None, as_json: bool
) -> None:
    """Register the best model of a sweep in MLflow, so that it can be served.

    It is the trial with the best objective in the recommended cell. Repeated, it registers nothing twice.
    Exit status: 0 registered, now or before; 2 refused, nothing was registered.

    \b
    sweeps promote lvm_losses
    sweeps promote 7f3a2c91d0 --name next_vector --alias challenger
    """
    from sweeps.access import refuse_silent
    from sweeps.access import tracking_uri as clean_uri
    from sweeps.promotion import promote as register
    from sweeps.status import find_sweep

    folder, uri = find_sweep(out, sweep), clean_uri(tracking_uri, out)
    refuse_silent(uri, folder.parent.name)
    promoted = register(folder, uri, name, alias)
    if as_json:
        click.echo(json.dumps({**promoted.as_json(), "tracking_uri": uri}, indent=2))
    else:
        click.echo(promoted.as_text(uri))
