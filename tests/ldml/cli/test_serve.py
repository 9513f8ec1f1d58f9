"""`ldml serve`: what it refuses, and a real server: health, log-in, and its end."""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar

import pytest
from click.testing import CliRunner

from ldml.cli import main

pytest.importorskip("panel")
PASSWORD = "a good password"


def refused(*arguments):
    result = CliRunner().invoke(main, ["serve", *arguments])
    assert result.exit_code == 2
    return result.output


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def get(address, opener=None, data=None):
    """Status and body; redirects are followed."""
    opener = opener or urllib.request.build_opener()
    try:
        with opener.open(address, data=data, timeout=30) as answer:
            return answer.status, answer.read().decode(), answer.url
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), address


@pytest.fixture(scope="module")
def server():
    """Address of a server that asks for a password; its process."""
    port = free_port()
    arguments = ["serve", "--port", str(port), "--password", PASSWORD, "--workers", "2"]
    process = subprocess.Popen([sys.executable, "-c", "from ldml.cli import main; main()", *arguments])
    address = f"http://localhost:{port}"
    try:
        _await_answer(address, process)
        yield address, process
    finally:
        process.kill()
        process.wait()


def _await_answer(address, process):
    end = time.monotonic() + 200
    while process.poll() is None and time.monotonic() < end:
        try:
            if get(f"{address}/health")[0] == 200:
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"the server did not answer; exit code {process.poll()}")


def test_health_is_told_without_a_login(server):
    status, body, _ = get(f"{server[0]}/health")
    assert status == 200
    assert json.loads(body).keys() == {"version", "workers", "jobs"}
    assert json.loads(body)["workers"] == 2


def test_the_page_is_for_those_who_have_the_password(server):
    address, _ = server
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    assert urllib.parse.urlsplit(get(f"{address}/serve", opener)[2]).path == "/login"
    wrong = urllib.parse.urlencode({"username": "anna", "password": "wrong"}).encode()
    get(f"{address}/login", opener, wrong)
    assert urllib.parse.urlsplit(get(f"{address}/serve", opener)[2]).path == "/login"
    right = urllib.parse.urlencode({"username": "anna", "password": PASSWORD}).encode()
    get(f"{address}/login", opener, right)
    status, _, url = get(f"{address}/serve", opener)
    assert status == 200
    assert urllib.parse.urlsplit(url).path == "/serve"


def test_a_taken_port_is_said(server):
    port = urllib.parse.urlsplit(server[0]).port
    assert f"port {port}" in refused("--port", str(port))


def test_a_signal_ends_the_server(server):
    _, process = server
    process.send_signal(signal.SIGTERM)
    process.wait(60)


def test_ways_to_log_in_exclude_one_another(tmp_path):
    users = tmp_path / "users.json"
    users.write_text('{"anna": "secret"}')
    assert "exclude one another" in refused("--users", str(users), "--password", PASSWORD)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"anna": 3}', "not json"])
def test_a_file_of_users_that_is_none_is_refused(tmp_path, content):
    users = tmp_path / "users.json"
    users.write_text(content)
    assert "users.json" in refused("--users", str(users))


def test_short_passwords_missing_keys_and_open_origins_are_refused(monkeypatch):
    monkeypatch.delenv("PANEL_OAUTH_KEY", raising=False)
    assert "8 or more" in refused("--password", "short")
    assert "PANEL_OAUTH_KEY" in refused("--oauth", "github")
    assert "is no host" in refused("--origin", "*")
    assert "--origin" in refused("--address", "0.0.0.0")
