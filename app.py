"""The dashboard: ``panel serve app.py``."""

from dashboards.app import create_app

create_app().servable()
