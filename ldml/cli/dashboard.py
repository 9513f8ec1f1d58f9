"""``ldml serve``: the dashboard on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from ldml.cli.shared import clear_errors
from ldml.errors import InputError


@click.command()
@click.option("--port", default=5006, show_default=True)
@click.option("--data", "dataset", help="Dataset to open with: a name of the sample data, or a path.")
@click.option("--show", is_flag=True, help="Open a browser.")
@clear_errors
def serve(port, dataset, show):
    """Serve the dashboard on this machine (needs the extra 'app')."""
    from importlib.util import find_spec

    if find_spec("panel") is None or find_spec("dashboards") is None:
        raise InputError("the dashboard is not installed; install it with: pip install 'ldml[app]'")
    environment = dict(os.environ)
    if dataset:
        environment["LDML_APP_DATASET"] = dataset
    application = Path(find_spec("dashboards").origin).with_name("serve.py")
    command = [
        sys.executable,
        "-m",
        "panel",
        "serve",
        str(application),
        "--port",
        str(port),
        "--index",
        "serve",
        "--warm",
    ]
    click.echo(f"Open http://localhost:{port} in a browser; stop with Ctrl+C.")
    sys.exit(subprocess.call(command + (["--show"] if show else []), env=environment))
