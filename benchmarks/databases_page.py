"""Rewrite what docs/databases.md says in numbers, and its pictures: ``python -m benchmarks.databases_page``.

Whatever is among the sample data is shown, the rest left out. The text between ``<!-- NAME -->`` and ``<!-- /NAME -->`` is
replaced; nothing else of the page is touched.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

import ldml
from ldml.figures import FIGURES
from ldml.figures.class_table import class_table, tabulate
from ldml.figures.energy_landscape import energy_landscape
from ldml.figures.style import write_figure
from ldml.sample_data import sample_manifest

DOCS = Path(__file__).resolve().parent.parent / "docs"
IMAGES = DOCS / "images"


def main() -> None:
    """Write the page and its pictures."""
    data = {name: ldml.load_dataset(name) for name in sample_manifest()}
    defects = [data[name] for name in FIGURES["table1"].datasets if name in data]
    parts = {
        "datasets": datasets(data),
        "table1": tabulate(class_table(defects), ".md"),
        "labels": against_labels(defects),
        "search": search([d for d in defects if np.isfinite(d.formation_energy).any()]),
        "landscapes": landscapes([d for d in defects if len(d.bulks) == 1]),
        "random": random_database(data),
    }
    page = DOCS / "databases.md"
    text = page.read_text(encoding="utf-8")
    for name, part in parts.items():
        text, found = re.subn(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", rf"\g<1>{_escaped(part)}\g<2>", text, flags=re.S
        )
        if found != 1:
            raise SystemExit(f"{page} has {found} places for {name!r}; it needs one")
    page.write_text(text, encoding="utf-8")


def datasets(data):
    """What there is, and the command that makes it."""
    lines = [_line("name", "structures", "classes", "cell", "exact *S*_i of"), _line(*["---"] * 5)]
    for d in data.values():
        labels, counts = np.unique(d.labels, return_counts=True)
        classes = ", ".join(f"{label} {n}" for label, n in zip(labels, counts, strict=True))
        sizes = ", ".join(str(n) for n in sorted({len(bulk) for bulk in d.bulks}))
        lines.append(_line(f"`{d.name}`", len(d), classes, f"{sizes} sites", int(d.has_local.sum())))
    return "\n".join(lines) + "\n"


def against_labels(datasets):
    """Class by class: ours, also of the half with the lower energies, the paper's label, and differences of means."""
    rows = [row for row in class_table(datasets).rows if row.paper_entropy and row.entropy.n > 1]
    lines = [
        _line(
            "potential",
            "class",
            "ours",
            "ours, lower half in *E*_f",
            "paper's labels",
            "difference of means",
            "of the lower half",
        ),
        _line(*["---"] * 7),
    ]
    for row in rows:
        (data,) = (d for d in datasets if d.name == row.dataset)
        energy, entropy = (
            values[data.labels == row.label] for values in (data.formation_energy, data.formation_entropy)
        )
        low = entropy[energy <= np.median(energy)]
        ours, theirs = row.entropy, row.paper_entropy
        lines.append(
            _line(
                row.potential,
                row.label,
                f"{ours.n}: {ours}",
                f"{low.mean():.2f} ± {low.std():.2f}",
                f"{theirs.n}: {theirs}",
                f"{ours.mean - theirs.mean:+.2f}",
                f"{low.mean() - theirs.mean:+.2f}",
            )
        )
    return "\n".join(lines) + "\n" if rows else "No labels to compare with.\n"


def search(datasets):
    """How the searches went, and the landscape they found."""
    lines = [
        _line(
            "dataset", "class", "attempts", "*or*", "*and*", "*E*_f (eV)", "within 1 eV", "d*S*/d*E* (k_B/eV)", "*r*"
        ),
        _line(*["---"] * 9),
    ]
    for d in datasets:
        if len(d.bulks) > 1:
            continue
        for c in energy_landscape(d).classes:
            tally, energy = c.search, c.formation_energy
            lines.append(
                _line(
                    f"`{d.name}`",
                    c.label,
                    tally.get("attempts", "–"),
                    tally.get("distinct_energy_or_inertia", "–"),
                    tally.get("distinct_energy_and_inertia", "–"),
                    f"{energy[0]:.2f} to {energy[-1]:.2f}",
                    c.within_one_ev,
                    f"{c.slope:+.2f}" if np.isfinite(c.slope) else "–",
                    f"{c.correlation:+.2f}" if np.isfinite(c.correlation) else "–",
                )
            )
    return "\n".join(lines) + "\n"


def landscapes(datasets):
    """Pictures of energies and entropies, one a dataset."""
    lines = []
    for d in datasets:
        file = IMAGES / f"landscape_{d.name}.png"
        write_figure(FIGURES["landscape"].draw(energy_landscape(d)), file)
        lines += [f"![Energies and entropies of the minima of {d.name}](images/{file.name})", ""]
    return "\n".join(lines)


def random_database(data):
    """Figs 4 and 5 of the random database, in words and pictures; nothing where it is missing."""
    if "fe-meam-random" not in data:
        return "Not among the sample data yet.\n"
    text = []
    for name in ("4", "5"):
        result = FIGURES[name].compute([data["fe-meam-random"]])
        write_figure(FIGURES[name].draw(result), IMAGES / f"figure_{name}.png")
        text += [
            "```",
            *FIGURES[name].report(result),
            "```",
            "",
            f"![{FIGURES[name].title}](images/figure_{name}.png)",
            "",
        ]
    return "\n".join(text)


def _line(*cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _escaped(text):
    return text.replace("\\", r"\\")


if __name__ == "__main__":
    main()
