"""What a server allows."""

import pytest

from dashboards.exact_methods import DIAGONALISATION, EXACT_METHODS
from dashboards.limits import limit
from dashboards.uploads import most_bytes
from ldml.errors import InputError


def test_defaults_hold_where_nothing_is_said(monkeypatch):
    monkeypatch.delenv("LDML_APP_UPLOAD_MB", raising=False)
    assert most_bytes() == 500_000_000
    monkeypatch.setenv("LDML_APP_UPLOAD_MB", "2")
    assert most_bytes() == 2_000_000


@pytest.mark.parametrize("text", ["-1", "0", "many", "1.5"])
def test_a_limit_that_is_none_is_refused(text, monkeypatch):
    monkeypatch.setenv("LDML_APP_WORKERS", text)
    with pytest.raises(InputError, match="LDML_APP_WORKERS is"):
        limit("LDML_APP_WORKERS")


def test_larger_structures_than_the_server_computes_are_refused(monkeypatch):
    monkeypatch.setenv("LDML_APP_MAX_ATOMS", "500")
    method = EXACT_METHODS[DIAGONALISATION]
    assert method.refusal(500) == ""
    assert "more than the 500 this server computes" in method.refusal(501)


def test_a_visitor_has_so_many_jobs(session, monkeypatch):
    from job_functions import count

    monkeypatch.setenv("LDML_APP_JOBS_PER_SESSION", "1")
    first = session.submit(count, 1000, 0.05)
    with pytest.raises(RuntimeError, match="as many as this server allows"):
        session.submit(count, 1, 0.0)
    first.cancel()
