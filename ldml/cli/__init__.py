"""The command line: ``ldml <verb>``, one module for each kind of work.

Every verb prints a short report, or one JSON object with ``--json``; progress goes to the terminal only. Bad input gives one
line and exit code 2.
"""

from __future__ import annotations

import click

from ldml.cli.campaigns import campaign
from ldml.cli.dashboard import serve
from ldml.cli.data import data
from ldml.cli.databases import generate
from ldml.cli.descriptors import describe
from ldml.cli.figures import figure
from ldml.cli.reference import entropy, prefactor, relax
from ldml.cli.surrogate import evaluate, fit, predict


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ldml")
def main():
    """Vibrational entropy of crystal defects: exact, and learned by a linear model."""


for verb in (relax, entropy, prefactor, describe, fit, predict, evaluate, generate, campaign, data, figure, serve):
    main.add_command(verb)
