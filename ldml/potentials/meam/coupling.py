"""Which atoms the Hessian of a MEAM potential couples: those that take part in a site together.

    a ~ b   if a and b are both in the set of some site i:  {i} + {j : S_ij > 0} + {k : k screens such a bond}

Only the neighbours that are not screened, and those that screen them, take part: in bcc iron 14 of a site, which couple an
atom to 64 others. Sets are stored one after another with offsets (N + 1,); turned round, they are the sites of each atom.
"""

import numpy as np

from ldml.potentials.meam.functions import compiled
from ldml.potentials.meam.screening import gather, longest_row, screening_product


@compiled
def involved_atoms(positions, offsets, indices, shifts, c):
    """The atoms each site's energy depends on, itself first, each once: offsets (N + 1,) and indices."""
    n_atoms = positions.shape[0]
    longest = longest_row(offsets)
    vectors = np.empty((longest, 3))
    squares = np.empty(longest)
    listed = np.empty(longest, np.int64)
    screeners = np.empty(longest, np.int64)
    involved = np.empty(indices.shape[0] + n_atoms, np.int32)
    start = np.zeros(n_atoms + 1, np.int64)
    last_site = np.full(n_atoms, -1, np.int64)
    at = 0
    for i in range(n_atoms):
        last_site[i] = i
        involved[at] = i
        at += 1
        n = gather(i, positions, offsets, indices, shifts, c.squared_range, vectors, squares, listed)
        for j in range(n):
            if squares[j] >= c.squared_cutoff:
                continue
            product, n_screeners = screening_product(j, n, vectors, squares, c, screeners)
            if product == 0.0:
                continue
            screeners[n_screeners] = j
            for q in range(n_screeners + 1):
                atom = indices[listed[screeners[q]]]
                if last_site[atom] != i:
                    last_site[atom] = i
                    involved[at] = atom
                    at += 1
        start[i + 1] = at
    return start, involved[:at].copy()


@compiled
def transposed(start, indices, n_columns):
    """Rows and columns of a pattern exchanged."""
    turned = np.zeros(n_columns + 1, np.int64)
    for k in range(indices.shape[0]):
        turned[indices[k] + 1] += 1
    for j in range(n_columns):
        turned[j + 1] += turned[j]
    rows = np.empty(indices.shape[0], np.int32)
    at = turned[:-1].copy()
    for i in range(start.shape[0] - 1):
        for k in range(start[i], start[i + 1]):
            j = indices[k]
            rows[at[j]] = i
            at[j] += 1
    return turned, rows


@compiled
def coupled_atoms(start, involved, site_start, sites, first, last):
    """Atoms that share a site with each of the atoms `first` to `last`: row offsets, and columns in ascending order."""
    row_start = np.zeros(last - first + 1, np.int64)
    last_row = np.full(start.shape[0] - 1, -1, np.int64)
    for row in range(first, last):
        count = 0
        for s in range(site_start[row], site_start[row + 1]):
            for k in range(start[sites[s]], start[sites[s] + 1]):
                if last_row[involved[k]] != row:
                    last_row[involved[k]] = row
                    count += 1
        row_start[row - first + 1] = row_start[row - first] + count
    columns = np.empty(row_start[-1], np.int32)
    last_row[:] = -1
    for row in range(first, last):
        begin = row_start[row - first]
        end = begin
        for s in range(site_start[row], site_start[row + 1]):
            for k in range(start[sites[s]], start[sites[s] + 1]):
                if last_row[involved[k]] != row:
                    last_row[involved[k]] = row
                    end = _insert(columns, begin, end, involved[k])
    return row_start, columns


@compiled
def _insert(columns, begin, end, atom):
    """Put an atom into the ascending range from `begin` to `end`; return its new end."""
    at = end
    while at > begin and columns[at - 1] > atom:
        columns[at] = columns[at - 1]
        at -= 1
    columns[at] = atom
    return end + 1


@compiled
def find(columns, begin, end, atom):
    """Where an atom stands in the ascending range from `begin` to `end`."""
    while end - begin > 1:
        middle = (begin + end) // 2
        if columns[middle] > atom:
            end = middle
        else:
            begin = middle
    return begin
