"""AFS with several cutoffs side by side.

A short cutoff spends its radial functions on the nearest shells, whose springs decide most of S_f; a long one sees how a defect
strains what lies around it. Together they describe both better than one cutoff of any length does (docs/descriptors/afs.md).
"""

from __future__ import annotations

from typing import Any, ClassVar

from ldml.descriptors.afs import AFS
from ldml.descriptors.base import CUTOFF
from ldml.descriptors.combined import SideBySide
from ldml.descriptors.parameters import Numbers, Parameter

CUTOFFS = Numbers(
    name="cutoffs",
    symbol="r_cut",
    default=(3.6, 5.0),
    bounds=(0.5, CUTOFF.bounds[1]),
    longest=8,
    unit="Å",
    doc="Radii of the neighbourhoods described; one AFS for each.",
)


class MultiscaleAFS(SideBySide):
    """Angular Fourier series of neighbourhoods of several sizes, side by side.

    Features are those of `AFS` with the first cutoff, then those with the second, and so on.
    """

    name: ClassVar[str] = "MultiscaleAFS"
    version: ClassVar[int] = AFS.version
    letter: ClassVar[str] = AFS.letter
    declared_parameters: ClassVar[tuple[Parameter, ...]] = tuple(
        CUTOFFS if parameter is CUTOFF else parameter for parameter in AFS.declared_parameters
    )

    def __init__(self, **parameters):
        super().__init__(**parameters)
        shared = {name: value for name, value in self._parameters.items() if name != CUTOFFS.name}
        self.parts = tuple(AFS(cutoff=cutoff, **shared) for cutoff in self.cutoffs)

    @property
    def feature_indices(self) -> tuple[dict[str, Any], ...]:
        """r_cut, then the indices of `AFS`."""
        return tuple({"r_cut": part.cutoff} | indices for part in self.parts for indices in part.feature_indices)
