"""``/health`` of a server: its version, workers and queue, for whoever watches over it; no log-in is asked."""

from __future__ import annotations

from importlib.metadata import version

from tornado.web import RequestHandler

from dashboards.session import shared_runner


class HealthHandler(RequestHandler):
    """Answers 200 with JSON: ``version``, ``workers``, and ``jobs``, those that run or wait."""

    def get(self) -> None:
        runner = shared_runner()
        self.set_header("Cache-Control", "no-store")
        self.write({"version": version("ldml"), "workers": runner.n_workers, "jobs": runner.n_jobs})


ROUTES = [("/health", HealthHandler, {})]
