"""Looks at the structures of a dataset one by one for all pages of a visitor, and remembers what it saw.

What takes long it does not do by itself: a page runs a job and hands the result over. No Panel in here.
"""

from __future__ import annotations

import numpy as np

from dashboards import tasks
from dashboards.pages.examined import (
    Examined,
    Shares,
    first_shells,
    learned_shares,
    predicted_total,
    remarks,
    role_in_fit,
)
from dashboards.state import AppState, Fit
from dashboards.units import units_of
from ldml.dataset import Dataset, Entry
from ldml.point_defects import WignerSeitz

QUICK = 20_000
"""Atoms of which defects and the learned shares of a local descriptor are worth waiting for; those of more are for a job."""
UNDER_WAY = "The learned shares of this structure take a while; they are computed in the background unless cancelled."
_REMEMBERED = 64


class Examiner:
    """What is known of the structures of the dataset in view; another dataset starts anew.

    Parameters
    ----------
    state : AppState
    """

    def __init__(self, state: AppState):
        self._state = state
        self._data: Dataset | None = None
        self._crystals: dict[int, WignerSeitz | None] = {}
        self._shells: dict[int, tuple[float, int]] = {}
        self._places: dict[int, tasks.Places] = {}
        self._shares: dict[int, Shares] = {}
        self._shares_of: Fit | None = None
        self._exact: dict[str, tuple[Entry, np.ndarray]] = {}

    def examine(self, i: int) -> Examined:
        """All that a page shows of structure i, whose defects are known or quick to find."""
        self._follow()
        data, fit = self._data, self._state.fit
        entry = data.entries[i]
        shells, n_crystal = self.first_shells(entry.bulk)
        places, shares = self._located(i), self._learned(i)
        return Examined(
            entry=entry,
            defects=places.defects,
            centres=places.centres,
            distances=places.distances,
            exact=self._exact.get(entry.name, (entry, entry.local_entropy))[1],
            shares=shares,
            shells=shells,
            n_crystal=n_crystal,
            coordination=places.coordination,
            predicted=predicted_total(fit, entry, shares.values),
            role=role_in_fit(fit, entry),
            is_local=fit is None or fit.model.descriptor.is_local,
            units=units_of(data),
            remarks=tuple(remarks(data, entry)),
        )

    def is_quick(self, i: int) -> bool:
        """Whether structure i can be examined while the page waits."""
        self._follow()
        return i in self._places or len(self._data.entries[i].atoms) <= QUICK

    def first_shells(self, bulk: int) -> tuple[float, int]:
        """As `examined.first_shells`, of a crystal of the dataset."""
        self._follow()
        if bulk not in self._shells:
            self._shells[bulk] = first_shells(self._data.bulks[bulk])
        return self._shells[bulk]

    def take_places(self, data: Dataset, i: int, places: tasks.Places) -> None:
        """Remember where the defects of a large structure are, of one at a time."""
        self._follow()
        if data is self._data:
            self._places = {i: places}

    def take_shares(self, data: Dataset, fit: Fit, i: int, shares: Shares) -> None:
        """Remember what a model says of the atoms of a structure."""
        self._follow()
        if data is not self._data or fit is not self._shares_of:
            return
        self._shares[i] = shares
        while len(self._shares) > _REMEMBERED:
            del self._shares[next(iter(self._shares))]

    def take_exact(self, entry: Entry, local: np.ndarray) -> None:
        """Remember exact shares (N,) in k_B that a dataset lacks."""
        self._exact[entry.name] = (entry, local)

    def _follow(self):
        """Forget what was known of another dataset or model; exact shares stay with the structures that stay."""
        data, fit = self._state.dataset, self._state.fit
        if data is not self._data:
            self._data = data
            for known in (self._crystals, self._shells, self._places, self._shares):
                known.clear()
            kept = set() if data is None else {id(entry) for entry in data.entries}
            self._exact = {name: known for name, known in self._exact.items() if id(known[0]) in kept}
        if fit is not self._shares_of:
            self._shares, self._shares_of = {}, fit

    def _located(self, i):
        """Where the defects of structure i are; a cluster has none, but a centre."""
        if i in self._places:
            return self._places[i]
        entry = self._data.entries[i]
        if entry.bulk not in self._crystals:
            bulk = self._data.bulks[entry.bulk]
            self._crystals[entry.bulk] = WignerSeitz(bulk) if bulk.pbc.all() else None
        return tasks.places_of(entry.atoms, self.first_shells(entry.bulk)[0], self._crystals[entry.bulk])

    def _learned(self, i):
        """Learned shares of structure i, or why there are none yet; what takes long is left to a job."""
        data, fit = self._data, self._state.fit
        if fit is None:
            return learned_shares(None, data, i)
        if i not in self._shares:
            if not fit.model.descriptor.is_local or len(data.entries[i].atoms) > QUICK:
                return Shares(missing=UNDER_WAY)
            self.take_shares(data, fit, i, learned_shares(fit, data, i))
        return self._shares[i]
