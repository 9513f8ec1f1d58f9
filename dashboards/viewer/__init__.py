"""Atoms in three dimensions, coloured by a scalar: `AtomsView`, its palettes and its colour bar."""

from dashboards.viewer.atoms_view import AtomsView
from dashboards.viewer.colour_bar import colour_bar, colour_bar_html
from dashboards.viewer.palettes import PALETTES, default_limits, lookup_table

__all__ = ["PALETTES", "AtomsView", "colour_bar", "colour_bar_html", "default_limits", "lookup_table"]
