"""Vacancies and interstitials of the structures of a dataset, and the distances between them: no Panel in here.

A Wigner-Seitz analysis takes some 8 µs an atom, so it runs as a job, once for each dataset of a server.
"""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass

import numpy as np

from ldml.dataset import Dataset
from ldml.figures.defect_counts import point_defects_of
from ldml.figures.defect_distances import PairDistances, pair_distances

VACANCIES, INTERSTITIALS = "n_vacancies", "n_interstitials"
"""Names of the quantities that some datasets come with."""
SECONDS_PER_ATOM = 8e-6


@dataclass(frozen=True, eq=False)
class DefectsFound:
    """Point defects of M structures.

    Attributes
    ----------
    vacancies, interstitials : (M,) float
        How many; NaN where unknown.
    pairs : PairDistances or None
        Distances between them; None until they are computed.
    """

    vacancies: np.ndarray
    interstitials: np.ndarray
    pairs: PairDistances | None = None

    def subset(self, chosen) -> DefectsFound:
        """Those of the structures chosen by a boolean mask (M,)."""
        pairs = None if self.pairs is None else self.pairs.subset(chosen)
        return DefectsFound(self.vacancies[chosen], self.interstitials[chosen], pairs)


def find_defects(progress, data: Dataset) -> DefectsFound:
    """Analyse every structure; a job.

    Raises
    ------
    InputError
        If a structure has another cell than its crystal.
    """
    counts = []

    def counted():
        for defects in point_defects_of(data, progress=progress):
            counts.append((defects.n_vacancies, defects.n_interstitials))
            yield defects

    pairs = pair_distances(data, counted())
    vacancies, interstitials = np.array(counts, dtype=float).reshape(-1, 2).T
    return DefectsFound(vacancies, interstitials, pairs)


def has_sites(data: Dataset) -> bool:
    """Whether all crystals are periodic, so that vacancies and interstitials mean something; clusters have none."""
    return all(bulk.pbc.all() for bulk in data.bulks)


def seconds_to_find(data: Dataset) -> float:
    """Estimated duration of `find_defects` on an idle core."""
    return SECONDS_PER_ATOM * float(data.n_atoms.sum())


def known_defects(data: Dataset) -> DefectsFound | None:
    """What is at hand: the result of the job, else the counts that came with the dataset, else None."""
    with _finding:
        if data in _found:
            return _found[data]
    if not {VACANCIES, INTERSTITIALS} <= set(data.quantity_names):
        return None
    return DefectsFound(data.quantity(VACANCIES), data.quantity(INTERSTITIALS))


def remember_defects(data: Dataset, found: DefectsFound) -> None:
    """Keep the result of the job for as long as somebody has the dataset open."""
    with _finding:
        _found[data] = found


_found: weakref.WeakKeyDictionary[Dataset, DefectsFound] = weakref.WeakKeyDictionary()
_finding = threading.Lock()
