"""What ``ldml serve`` hands to Panel; ``panel serve app.py`` in a checkout does the same."""

from dashboards.app import create_app

create_app().servable()
