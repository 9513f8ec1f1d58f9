"""Rewrite the numbers of docs/results.md: ``python -m benchmarks.results_page [--only NAME ...]``.

Whatever is among the sample data is shown; the rest is said to be missing. Sections: figures, splits, protocols,
disorder, descriptors, soft, local, active.
"""

from __future__ import annotations

import argparse
import re
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

import ldml
from ldml.dataset import Dataset
from ldml.descriptors import get_descriptor
from ldml.errors import InputError
from ldml.evaluation.active import active_curve
from ldml.evaluation.metrics import r2_within
from ldml.evaluation.protocols import evaluate
from ldml.evaluation.splits import split_curve_arrays
from ldml.figures import FIGURES
from ldml.figures.parity import cross_validated_parity
from ldml.figures.style import write_figure
from ldml.point_defects import WignerSeitz, distance_to_defects
from ldml.regression import LDML
from ldml.sample_data import sample_manifest

DOCS = Path(__file__).resolve().parent.parent / "docs"
NAMES = ("2a", "2b", "2c", "2d", "3a", "3b", "6a", "6b", "7")
EXPLORED = ("fe-meam-8a0", "fe-am04-8a0")
DESCRIBED = {
    "fe-meam-8a0": (
        ("AFS", {}), ("AFS", {"cutoff": 3.6}), ("MultiscaleAFS", {}), ("BSO4", {}),
        ("BSO4", {"cutoff": 3.6, "diagonal": False}), ("BSO4", {"cutoff": 4.2, "j_max": 6.0}), ("AFS+BSO4", {}),
        ("AFS+SoftModes", {}), ("MultiscaleAFS+SoftModes", {}),
    ),
    "fe-am04-8a0": (("AFS", {}), ("AFS", {"cutoff": 3.6}), ("MultiscaleAFS", {})),
    "lj38": (
        ("AFS", {}), ("AFS", {"cutoff": 3.0}), ("MultiscaleAFS", {"cutoffs": (1.6, 2.5, 4.0)}),
        ("MultiscaleAFS+BSO4", {"cutoffs": (1.6, 2.5, 4.0), "cutoff": 3.0}),
        ("MultiscaleAFS+BSO4", {"cutoffs": (1.6, 2.0, 2.5, 3.0, 4.0), "cutoff": 3.0}),
    ),
}  # fmt: skip
"""Compared on structures of `N_SITES` sites in all, or on all there are."""
N_SITES = 2000 * 1024
WEIGHTS = (None, 1.0, 10.0, 100.0, "cross-validate")
RADIUS = 6.0


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=list(SECTIONS), choices=list(SECTIONS))
    page = DOCS / "results.md"
    for name in parser.parse_args().only:
        part = SECTIONS[name]()
        text, found = re.subn(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
            lambda match, part=part: match[1] + part + match[2],
            page.read_text(encoding="utf-8"),
            flags=re.S,
        )
        if found != 1:
            raise SystemExit(f"{page} has {found} places for {name!r}; it needs one")
        page.write_text(text, encoding="utf-8")


def load(name: str) -> Dataset | None:
    """A sample dataset, or None."""
    return ldml.load_dataset(name) if name in sample_manifest() else None


def figures() -> str:
    """A row for each figure that can be made."""
    rows = [("figure", "data", "structures", "left out: RMSE, MAE", "fit: RMSE, MAE", "paper: RMSE")]
    for name in NAMES:
        kind = FIGURES[name]
        datasets = [load(source) for source in kind.datasets]
        try:
            parity = kind.compute([data for data in datasets if data is not None])
        except InputError:
            missing = [source for source, data in zip(kind.datasets, datasets, strict=True) if data is None]
            rows.append((name, kind.title, "–", f"{', '.join(missing)} not there yet", "–", "–"))
            continue
        write_figure(kind.draw(parity), DOCS / "images" / f"figure_{name}.png")
        paper = "–" if parity.paper_rmse is None else f"{parity.paper_rmse:g}"
        rows.append(
            (
                f"[{name}](images/figure_{name}.png)", kind.title, f"{len(parity.true):,}",
                f"**{parity.rmse:.3f}**, {parity.mae:.3f}", f"{parity.fit_rmse:.3f}, {parity.fit_mae:.3f}", paper,
            )
        )  # fmt: skip
    return table(rows)


def splits() -> str:
    """Train and test errors against the proportion tested, at random and by parents."""
    rows = [("data", "tested", *(f"{p} %" for p in (10, 30, 50, 70, 90)))]
    joined = [load("fe-meam-8a0"), load("fe-meam-random")]
    sets = [load("fe-meam-8a0"), load("lj38")]
    if None not in joined:
        sets.append(Dataset.merged(joined, name="fe-meam-8a0 + fe-meam-random"))
    for data in sets:
        X, y = LDML(get_descriptor("AFS")).training_rows(data)
        groups = data.parents if len(np.unique(data.parents)) < len(data) else None
        for label, given in (("at random", None), ("by parents", groups)):
            if label == "by parents" and given is None:
                continue
            curve = split_curve_arrays(X, y, proportions=(0.1, 0.3, 0.5, 0.7, 0.9), n_repeats=30, groups=given)
            means = zip(curve.mean("rmse_train"), curve.mean("rmse_test"), strict=True)
            rows.append((f"`{data.name}`", label, *(f"{a:.3f} / {b:.3f}" for a, b in means)))
    return table(rows) + "\nRMSE train / test, k_B, means of 30 repeats.\n"


def protocols() -> str:
    """Errors, coverage and flags of each protocol."""
    rows = [("data", "left out", "structures", "RMSE", "MAE", "inside", "flagged")]
    for name, wanted in (
        ("fe-meam-8a0", ("random", "classes")),
        ("fe-am04-8a0", ("random", "classes")),
        ("lj38", ("random",)),
        ("fe-meam-strained", ("random", "strains")),
        ("fe-meam-sizes", ("random", "sizes")),
        ("fe-meam-random", ("random",)),
    ):
        data = load(name)
        if data is None:
            rows.append((f"`{name}`", "not there yet", *"–––––"))
            continue
        for protocol in wanted:
            found = evaluate(data, LDML(get_descriptor("AFS")), protocol, n_repeats=5)
            for e in filter(None, (found, found.beside)):
                if e.protocol in ("random", "parents"):
                    title = "a tenth at random" if e.protocol == "random" else "a tenth of the parents"
                    outside = np.mean([fold.outside for fold in e.folds])
                    rows.append(row_of(name, title, len(e.true), e.rmse, e.mae, e.covered, outside))
                else:
                    rows += [row_of(name, f.name, f.n_test, f.rmse, f.mae, f.covered, f.outside) for f in e.folds]
    return table(rows)


def disorder() -> str:
    """Predictions of disorder by models that never saw any, for descriptors and training sets."""
    bounds = (0, 40, 80, 120, np.inf)
    titles = ("below 40", "40 to 80", "80 to 120", "above 120")
    rows = [("trained on", "descriptor", "RMSE", "mean error", *(f"RMSE, S_f {title}" for title in titles))]
    compact, sizes, tested = load("fe-meam-8a0"), load("fe-meam-sizes"), load("fe-meam-random")
    true = tested.formation_entropy
    bins = [(true >= low) & (true < high) for low, high in pairwise(bounds)]
    for kind, parameters in (("AFS", {}), ("AFS", {"cutoff": 3.6}), ("MultiscaleAFS", {})):
        descriptor = get_descriptor(kind, **parameters)
        for training in (compact, Dataset.merged([compact, sizes], name="fe-meam-8a0 + fe-meam-sizes")):
            error = LDML(descriptor).fit(training).predict(tested) - true
            rmses = (f"{np.sqrt(np.mean(error[which] ** 2)):.2f}" for which in (slice(None), *bins))
            total, *by_bin = rmses
            named = f"{kind}, cutoff 3.6" if parameters else kind
            rows.append((f"`{training.name}`", named, f"**{total}**", f"{error.mean():+.2f}", *by_bin))
    counts = ", ".join(f"{int(which.sum())}" for which in bins)
    return (
        table(rows)
        + f"\n{len(true):,} structures of `fe-meam-random`, {counts} of them in the four ranges of S_f (k_B).\n"
    )


def row_of(name, title, n, rmse, mae, covered, outside):
    """One line of the protocols."""
    return f"`{name}`", title, f"{n:,}", f"{rmse:.3f}", f"{mae:.3f}", f"{100 * covered:.1f} %", f"{100 * outside:.0f} %"


def descriptors() -> str:
    """What descriptors cost and what they gain, on the same structures."""
    rows = [("data", "descriptor", "features", "µs an atom", "RMSE", "MAE")]
    for name, choices in DESCRIBED.items():
        data = load(name)
        if data is None:
            continue
        some = data.subset(np.sort(np.random.default_rng(0).permutation(len(data))[: N_SITES // len(data.bulks[0])]))
        for kind, parameters in choices:
            if "SoftModes" in kind:
                parameters = {**parameters, "potential": data.metadata["potential"]}
            descriptor = get_descriptor(kind, **parameters)
            parity = cross_validated_parity(some, descriptor)
            given = ", ".join(f"{key} {value}" for key, value in parameters.items() if key != "potential")
            cost = f"{microseconds_an_atom(descriptor, some):.0f}"
            rows.append(
                (f"`{name}`", f"{kind} ({given})" if given else kind, descriptor.n_features, cost,
                 f"**{parity.rmse:.3f}**", f"{parity.mae:.3f}")
            )  # fmt: skip
    return (
        table(rows)
        + "\nTen folds of whole parents; 2,000 structures drawn at random of each potential of iron, all of the clusters.\n"
    )


def microseconds_an_atom(descriptor, data, n=10):
    """Processor time of the totals of a few structures."""
    structures = [data[i] for i in np.linspace(0, len(data) - 1, n).astype(int)]
    descriptor.total(structures[0])
    start = time.process_time()
    for atoms in structures:
        descriptor.total(atoms)
    return 1e6 * (time.process_time() - start) / sum(map(len, structures))


def soft() -> str:
    """AFS with and without soft modes, where their totals are at hand."""
    rows = [("data", "descriptor", "RMSE", "MAE", *("I2", "I3", "I4", "V4"))]
    for name in (*EXPLORED, "fe-meam-strained"):
        data = load(name)
        if data is None:
            continue
        both = get_descriptor("AFS+SoftModes", potential=data.metadata["potential"])
        if not data.has_descriptor(both):
            rows.append((f"`{name}`", "soft modes not stored yet", *"––––––"))
            continue
        for descriptor in both.parts[0], both:
            parity = cross_validated_parity(data, descriptor)
            by_class = (f"{parity.by_group[label][1]:.3f}" for label in ("I2", "I3", "I4", "V4"))
            rows.append((f"`{name}`", descriptor.name, f"**{parity.rmse:.3f}**", f"{parity.mae:.3f}", *by_class))
    return table(rows)


def local() -> str:
    """Totals and atoms against the weight of local targets."""
    rows = [("data", "weight", "totals left out: RMSE", "R² of S_i within 6 Å", "RMSE of S_i within 6 Å")]
    for name in EXPLORED:
        data = load(name)
        if data is None:
            continue
        rng, with_local = np.random.default_rng(0), np.flatnonzero(data.has_local)
        tested = rng.permutation(with_local)[: len(with_local) // 2]
        others = rng.permutation(np.flatnonzero(~data.has_local))
        held_out = np.concatenate([tested, others[: len(others) // 10]])
        train = data.subset(np.setdiff1d(np.arange(len(data)), held_out))
        truth = atoms_of(data, tested[:40])
        for weight in WEIGHTS:
            model = LDML(get_descriptor("AFS")).fit(train, local_weight=weight)
            error = data.formation_entropy[held_out] - model.predict(data.subset(held_out))
            predicted = [model.predict_local(data[i]) for i in tested[:40]]
            r2, rms = r2_within(truth, predicted)
            chosen = "none" if weight is None else f"{model.training_['local_weight']:g}"
            told = f"{chosen} (cross-validation)" if weight == "cross-validate" else chosen
            rows.append((f"`{name}`", told, f"{np.sqrt(np.mean(error**2)):.3f}", f"{r2:.3f}", f"{rms:.4f}"))
    return table(rows)


def atoms_of(data, chosen):
    """Exact S_i of each chosen structure, and which atoms are near its defect."""
    sites = WignerSeitz(data.bulks[0])
    found = []
    for i in chosen:
        atoms = data[i]
        found.append((data.local_entropy(i), distance_to_defects(atoms, sites(atoms)) < RADIUS))
    return found


def active() -> str:
    """Two learning curves for each dataset."""
    rows = None
    for name in EXPLORED:
        data = load(name)
        if data is None:
            continue
        X, y = LDML(get_descriptor("AFS")).training_rows(data)
        curve = active_curve(X, y, n_start=40, batch=40, n_batches=6, n_repeats=3)
        rows = rows or [("data", "labels", *map(str, curve.n_train))]
        for label, errors in (("chosen", curve.active), ("at random", curve.random)):
            rows.append((f"`{name}`", label, *(f"{value:.3f}" for value in errors.mean(axis=1))))
    return table(rows)


def table(rows) -> str:
    """Markdown, the first row its head."""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]]) + "\n"


SECTIONS = {
    "figures": figures,
    "splits": splits,
    "protocols": protocols,
    "disorder": disorder,
    "descriptors": descriptors,
    "soft": soft,
    "local": local,
    "active": active,
}

if __name__ == "__main__":
    main()
