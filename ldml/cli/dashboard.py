"""``ldml serve``: the dashboard, on this machine or for others."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path

import click

from ldml.cli.shared import FilePath, clear_errors
from ldml.errors import InputError

PROVIDERS = (
    "auth0", "auth_code", "azure", "azurev2", "bitbucket", "generic", "github", "gitlab", "google", "okta", "pam", "password",
)  # fmt: skip
"""Those of Panel; key, secret and redirect address come from its variables PANEL_OAUTH_KEY, _SECRET, _REDIRECT_URI."""
LOCAL_ADDRESSES = ("localhost", "127.0.0.1", "::1")
MIN_PASSWORD = 8


@click.command()
@click.option("--port", default=5006, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--address",
    default="localhost",
    show_default=True,
    help="Address to listen on; 0.0.0.0 for every network of this machine.",
)
@click.option(
    "--origin", "origins", multiple=True, metavar="HOST[:PORT]", help="Host that browsers may come by; repeatable."
)
@click.option("--prefix", default="", help="Path under which a reverse proxy shows the dashboard.")
@click.option(
    "--behind-proxy", is_flag=True, help="Trust X-Forwarded headers: only behind a reverse proxy that sets them."
)
@click.option("--users", type=FilePath, help='JSON file {"name": "password"} of those who may log in.')
@click.option(
    "--password", envvar="LDML_APP_PASSWORD", help="One password for everybody; better given as LDML_APP_PASSWORD."
)
@click.option("--oauth", type=click.Choice(PROVIDERS), help="Log in with this provider; see docs/deployment.md.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Jobs that run at once.")
@click.option(
    "--jobs-per-session",
    default=8,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Running and waiting, for each visitor.",
)
@click.option("--max-atoms", type=click.IntRange(1), help="Largest structure whose exact entropy is computed.")
@click.option("--upload-limit", type=click.IntRange(1), metavar="MB", help="Largest file taken  [default: 500].")
@click.option("--data", "dataset", help="Dataset to open with: a name of the sample data, or a path.")
@click.option("--show", is_flag=True, help="Open a browser.")
@clear_errors
def serve(
    port,
    address,
    origins,
    prefix,
    behind_proxy,
    users,
    password,
    oauth,
    workers,
    jobs_per_session,
    max_atoms,
    upload_limit,
    dataset,
    show,
):
    """Serve the dashboard (needs the extra 'app'); Ctrl+C or SIGTERM stops it and its jobs."""
    from importlib.util import find_spec

    if find_spec("panel") is None or find_spec("dashboards") is None:
        raise InputError("the dashboard is not installed; install it with: pip install 'ldml[app]'")
    environment = {
        **os.environ,
        **_login(users, password, oauth),
        "LDML_APP_WORKERS": str(workers),
        "LDML_APP_JOBS_PER_SESSION": str(jobs_per_session),
    }
    optional = {"LDML_APP_MAX_ATOMS": max_atoms, "LDML_APP_UPLOAD_MB": upload_limit, "LDML_APP_DATASET": dataset}
    environment |= {name: str(value) for name, value in optional.items() if value}
    if address not in LOCAL_ADDRESSES and not origins:
        raise InputError(
            f"browsers that come to {address} by another name would be refused; say which, such as --origin lab.example.org:{port}"
        )
    _check_origins(origins)
    _check_free(address, port)
    application = Path(find_spec("dashboards").origin).with_name("serve.py")
    command = [
        sys.executable, "-m", "panel", "serve", str(application), "--port", str(port), "--address", address,
        "--index", "serve", "--warm", "--plugins", "dashboards.health",
    ]  # fmt: skip
    for origin in origins:
        command += ["--allow-websocket-origin", origin]
    command += ["--prefix", prefix] if prefix else []
    command += ["--use-xheaders"] if behind_proxy else []
    command += ["--show"] if show else []
    place = f"http://{'localhost' if address in ('0.0.0.0', '::') else address}:{port}{'/' + prefix.strip('/') if prefix else ''}"
    click.echo(f"Open {place} in a browser; stop with Ctrl+C.")
    sys.stdout.flush()
    if os.name == "posix":  # the server takes this process over, so that signals reach it
        os.execve(sys.executable, command, environment)
    sys.exit(subprocess.call(command, env=environment))


def _login(users, password, oauth) -> dict[str, str]:
    """Panel's variables for the way to log in; the process list does not show them."""
    ways = [way for way in (users, password, oauth) if way is not None]
    if not ways:
        return {}
    if len(ways) > 1:
        raise InputError("--users, --password and --oauth exclude one another; give one")
    login = {"PANEL_COOKIE_SECRET": os.environ.get("PANEL_COOKIE_SECRET") or secrets.token_hex(32)}
    if oauth:
        missing = [name for name in ("PANEL_OAUTH_KEY", "PANEL_OAUTH_SECRET") if not os.environ.get(name)]
        if missing and oauth != "pam":
            raise InputError(
                f"--oauth {oauth} needs {' and '.join(missing)} in the environment; the provider issues them"
            )
        return {**login, "PANEL_OAUTH_PROVIDER": oauth}
    if password is not None:
        if len(password) < MIN_PASSWORD or Path(password).is_file():
            raise InputError(
                f"the password has {len(password)} characters or names a file; take {MIN_PASSWORD} or more"
            )
        return {**login, "PANEL_BASIC_AUTH": password}
    _check_users(users)
    return {**login, "PANEL_BASIC_AUTH": str(users.absolute())}


def _check_users(path):
    try:
        users = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a file of users: {error}") from error
    if not isinstance(users, dict) or not users or not all(isinstance(v, str) and v for v in users.values()):
        raise InputError(f'{path} is no file of users; it must hold JSON such as {{"anna": "her password"}}')


def _check_origins(origins):
    for origin in origins:
        if "*" in origin or "/" in origin:
            raise InputError(f"origin {origin!r} is no host; give one such as lab.example.org or lab.example.org:443")


def _check_free(address, port):
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        raise InputError(
            f"cannot listen on {address} port {port}: {error.strerror}; choose another with --port"
        ) from error
