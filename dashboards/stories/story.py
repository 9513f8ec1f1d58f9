"""What a story is, and the list of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from bokeh.models import LayoutDOM

from dashboards.figures.spectrum import spectrum_figure
from dashboards.figures.stories import HEIGHT, Curve, bars, curves, stems
from dashboards.figures.style import BLUE, VERMILLION
from dashboards.stories import measured
from dashboards.stories.measured import Measured


@dataclass(frozen=True)
class Scene:
    """A place of the app that belongs to a step: a dataset to open, if any, and the page to turn to."""

    page: str
    dataset: str = ""


@dataclass(frozen=True)
class Step:
    """One thought.

    Attributes
    ----------
    title : str
    text : callable
        Markdown from what was measured.
    figure : callable
        A Bokeh figure from what was measured.
    scene : Scene or None
        Where in the app to go on by oneself.
    """

    title: str
    text: Callable[[Measured], str]
    figure: Callable[[Measured], LayoutDOM]
    scene: Scene | None = None


@dataclass(frozen=True)
class Story:
    """A question and the steps to its answer.

    Attributes
    ----------
    title, question : str
    measure : callable
        The job that computes what the steps tell, of `dashboards.stories.measured`.
    steps : tuple of Step
    """

    title: str
    question: str
    measure: Callable
    steps: tuple[Step, ...]


def _entropy_of_modes(found):
    return -0.5 * np.log(found["stiffness"])


def _soft(found):
    return found["stiffness"] < 1.0


def _shells(found):
    """Share of the softest mode against the distance from the dumbbell, in shells of half an ångström."""
    away, share = found["distances"], found["shares"]
    edges = np.arange(0.0, 9.0, 0.5)
    total = [share[(away >= a) & (away < b)].sum() for a, b in pairwise(edges)]
    return 0.5 * (edges[1:] + edges[:-1]), np.array(total)


def _models_told(found):
    if not found["errors"]:
        return (
            "The totals of soft modes do not come with this installation; press **Soft modes** on the Model page to "
            "compute them and compare."
        )
    plain, both = found["errors"].values()
    return (
        f"On structures left out with all copies of their parents, AFS alone is off by **{plain:.2f} k_B**; with the soft "
        f"modes beside it by **{both:.2f} k_B**. The modes come from a sparse iterative solver, without factorising "
        f"the Hessian."
    )


SOFT_DUMBBELL = Story(
    "A soft dumbbell mode",
    "What does one soft mode do to S_f?",
    measured.soft_dumbbell,
    (
        Step(
            "One atom more, or one less",
            lambda f: (
                f"A <110> dumbbell squeezes an extra atom into iron, yet its formation entropy is positive: "
                f"**{f['entropy_dumbbell']:.2f} k_B**, beside **{f['entropy_vacancy']:.2f} k_B** of the vacancy. Compressed "
                f"bonds are stiff and should *lower* the entropy. What raises it?"
            ),
            lambda f: bars(
                {"vacancy": f["entropy_vacancy"], "<110> dumbbell": f["entropy_dumbbell"]},
                y_label="S_f (k_B)",
                highlighted=["<110> dumbbell"],
            ),
            Scene("Reference"),
        ),
        Step(
            "The spectrum hardly moves",
            lambda f: (
                f"{len(f['frequencies']):,} modes of {f['atoms']} atoms: the densities of states of crystal and defect nearly "
                f"coincide. The difference below shows "
                f"{int((f['frequencies'] > f['crystal_frequencies'].max() + 1e-3).sum())} modes above the crystal's highest, "
                f"**{f['crystal_frequencies'].max():.2f} THz** (stiff bonds of the dumbbell), and a rise at low frequency: the "
                f"softest mode of the defect has **{f['frequencies'][0]:.2f} THz**, the crystal's softest "
                f"{f['crystal_frequencies'][0]:.2f} THz."
            ),
            lambda f: spectrum_figure(
                f["frequencies"], f["crystal_frequencies"], f["atoms"], f["atoms"] - 1, height=HEIGHT
            ),
            Scene("Reference"),
        ),
        Step(
            "Measured against the crystal, one mode stands out",
            lambda f: (
                f"Divide the stiffness of each mode by what the perfect crystal would oppose to the same motion. Most "
                f"modes have "
                f"1 and say nothing; each other one adds −½ ln μ. The softest has **μ = {f['stiffness'][0]:.3f}** and adds "
                f"**{_entropy_of_modes(f)[0]:+.2f} k_B** alone; all soft ones together "
                f"{_entropy_of_modes(f)[_soft(f)].sum():+.1f} k_B, all stiff ones "
                f"{_entropy_of_modes(f)[~_soft(f)].sum():+.1f} k_B."
            ),
            lambda f: stems(
                _entropy_of_modes(f),
                x_label="mode, from the softest to the stiffest",
                y_label="−½ ln μ, contribution to S_f (k_B)",
            ),
        ),
        Step(
            "It moves many atoms a little",
            lambda f: (
                f"The two atoms of the dumbbell and those within 3 Å hold "
                f"{100 * f['shares'][f['distances'] < 3.0].sum():.0f} % of the softest mode; the rest is spread over atoms "
                f"whose own neighbourhoods look nearly perfect. A sum over short-ranged neighbourhoods has no way to see it: "
                f"S_f is a sum over atoms, but a soft mode is a property of the defect as a whole."
            ),
            lambda f: curves(
                Curve(*_shells(f), colour=VERMILLION),
                Curve(*_shells(f), colour=VERMILLION, marker="circle"),
                x_label="distance from the dumbbell (Å)",
                y_label="share of the softest mode, in shells of 0.5 Å",
            ),
            Scene("Structure", measured.EXPLORED),
        ),
        Step(
            "Tell the model",
            _models_told,
            lambda f: bars(
                f["errors"] or {"AFS": np.nan}, y_label="RMSE, left out (k_B)", highlighted=["AFS+SoftModes"], digits=3
            ),
            Scene("Model", measured.SOFT),
        ),
    ),
)

CUTOFF = Story(
    "Why the cutoff matters",
    "How far must a descriptor see?",
    measured.cutoffs,
    (
        Step(
            "Where the entropy sits",
            lambda f: (
                f"The exact entropies of single atoms, averaged over {f['structures']} defects of `{f['name']}`: large at the "
                f"defect, and falling with the distance over orders of magnitude. But the number of atoms grows with "
                f"the square of it."
            ),
            lambda f: curves(
                Curve(f["distance"][np.isfinite(f["size"])], f["size"][np.isfinite(f["size"])], marker="circle"),
                x_label="distance from the nearest defect (Å)",
                y_label="mean |S_i − S_bulk| (k_B)",
                log_y=True,
            ),
            Scene("Structure", measured.EXPLORED),
        ),
        Step(
            "How much lies within",
            lambda f: (
                f"Added up outwards: within 3 Å of a defect lie on average "
                f"**{np.interp(3.0, f['reach'], f['within']):.1f} k_B**, "
                f"within 5 Å {np.interp(5.0, f['reach'], f['within']):.1f}, within 10 Å "
                f"{np.interp(10.0, f['reach'], f['within']):.1f}. Strain carries entropy far; but what the strain is, an atom "
                f"sees in its own first shells."
            ),
            lambda f: curves(
                Curve(f["reach"], f["within"], colour=VERMILLION),
                x_label="radius around the defect (Å)",
                y_label="mean entropy within (k_B)",
                vertical=5.0,
            ),
        ),
        Step(
            "What the model makes of it",
            lambda f: (
                f"AFS with 20 radial functions, fitted on nine tenths of {f['fitted']} structures and tested on the rest: at "
                f"{min(f['errors']):g} Å the model sees {f['neighbours'][min(f['errors'])]} neighbours and misses by "
                f"{f['errors'][min(f['errors'])]:.2f} k_B; best is **{min(f['errors'], key=f['errors'].get):g} Å**, with "
                f"**{min(f['errors'].values()):.2f} k_B**; at {max(f['errors']):g} Å it is "
                f"{f['errors'][max(f['errors'])]:.2f} again. (The entropies themselves scatter by {f['spread']:.1f} k_B.)"
            ),
            lambda f: curves(
                Curve(np.array(list(f["errors"])), np.array(list(f["errors"].values()))),
                Curve(np.array(list(f["errors"])), np.array(list(f["errors"].values())), marker="circle"),
                x_label="cutoff (Å)",
                y_label="RMSE, left out (k_B)",
            ),
            Scene("Model", measured.EXPLORED),
        ),
        Step(
            "Further is not better",
            lambda f: (
                f"The same 20 functions must cover the whole sphere. A longer cutoff spreads them over more shells "
                f"({f['neighbours'][3.6]} neighbours within 3.6 Å, {f['neighbours'][6.0]} within 6 Å) and blurs the "
                f"nearest, whose "
                f"springs decide most. With few structures more features also cost: 3.6 and 5 Å side by side, 440 "
                f"features, reach "
                f"{f['error_of_both']:.2f} k_B here."
            ),
            lambda f: bars(
                {**{f"{c:g} Å": f["errors"][c] for c in (3.6, 5.0, 6.0)}, "3.6 and 5 Å": f["error_of_both"]},
                y_label="RMSE, left out (k_B)",
                highlighted=["3.6 and 5 Å"],
            ),
        ),
        Step(
            "And it must fit the cell",
            lambda f: (
                f"In a periodic cell a defect has images. Beyond half the smallest height of the cell, here "
                f"**{f['half_cell']:.1f} Å**, an atom would see the same defect twice and call it two; `ldml` refuses such a "
                f"cutoff. The paper's 5 Å is a compromise; try others on the Model page."
            ),
            lambda f: curves(
                Curve(np.array(list(f["neighbours"])), np.array(list(f["neighbours"].values())), marker="circle"),
                Curve(np.array(list(f["neighbours"])), np.array(list(f["neighbours"].values()))),
                x_label="cutoff (Å)",
                y_label="neighbours in the crystal",
                vertical=f["half_cell"],
            ),
            Scene("Model", measured.EXPLORED),
        ),
    ),
)


def _tested(found, name, k):
    return found["curves"][name]["rmse_test"][k]


SPLITS = Story(
    "Why random splits flatter",
    "Is an error on held-out structures an error on new ones?",
    measured.random_splits,
    (
        Step(
            "Many structures, few parents",
            lambda f: (
                f"`{f['name']}` holds **{f['structures']:,}** structures, but only **{f['parents']}** defects: each "
                f"was relaxed under "
                f"four strains. Held-out structures drawn at random nearly always have a sibling among those fitted."
            ),
            lambda f: bars({"structures": f["structures"], "parents": f["parents"]}, y_label="number", digits=0),
            Scene("Data", measured.STRAINED),
        ),
        Step(
            "Siblings are alike",
            lambda f: (
                f"S_f of each defect under {f['pair_names'][0]} and {f['pair_names'][1]}: they differ by "
                f"{np.sqrt(np.mean(np.diff(f['pair']) ** 2)):.2f} k_B, while different defects scatter by "
                f"{f['spread']:.1f} k_B. "
                f"Who knows the sibling knows most of the answer."
            ),
            lambda f: curves(
                Curve(f["pair"][:, 0], f["pair"][:, 1], marker="circle"),
                x_label=f"S_f at {f['pair_names'][0]} (k_B)",
                y_label=f"S_f at {f['pair_names'][1]} (k_B)",
                diagonal=True,
            ),
        ),
        Step(
            "The same model, two verdicts",
            lambda f: (
                f"With a tenth held out at random the test error is {_tested(f, 'at random', 0):.2f} k_B, with whole "
                f"parents held out "
                f"{_tested(f, 'whole parents', 0):.2f}. With nine tenths held out: "
                f"**{_tested(f, 'at random', -1):.2f}** against "
                f"**{_tested(f, 'whole parents', -1):.2f} k_B**. The model did not change; the question did."
            ),
            lambda f: curves(
                *(
                    Curve(100 * f["proportions"], f["curves"][name]["rmse_test"], f"tested {name}", colour)
                    for name, colour in (("at random", BLUE), ("whole parents", VERMILLION))
                ),
                x_label="held out (%)",
                y_label="test RMSE (k_B)",
            ),
            Scene("Splits", measured.STRAINED),
        ),
        Step(
            "A strain never seen",
            lambda f: (
                f"Harder still: leave one strain out altogether. Between strains that were seen the model "
                f"interpolates; beyond them "
                f"it extrapolates, and is off by up to **{max(f['strains'].values()):.2f} k_B**."
            ),
            lambda f: bars(
                dict(sorted(f["strains"].items(), key=lambda item: float(item[0].split()[0]))),
                y_label="RMSE with this strain left out (k_B)",
                highlighted=[max(f["strains"], key=f["strains"].get)],
            ),
        ),
        Step(
            "Say what was left out",
            lambda f: (
                "Four honest numbers of one model. Each answers another question; a report that gives only the first "
                "flatters. `ldml` "
                "never shows a random split of copies without the split by parents beside it."
            ),
            lambda f: bars(
                {
                    "fitted": f["curves"]["whole parents"]["rmse_train"][0],
                    "at random": _tested(f, "at random", 0),
                    "new parents": _tested(f, "whole parents", 0),
                    "new strain": max(f["strains"].values()),
                },
                y_label="RMSE (k_B)",
                highlighted=["new parents"],
            ),
            Scene("Splits", measured.STRAINED),
        ),
    ),
)


def _dip(found):
    """What to say of a shallow minimum on the way, where the potential has one."""
    half = found["energy"][: len(found["energy"]) // 2 + 1]
    first = next((k for k in range(1, len(half) - 1) if half[k] > half[k + 1]), None)
    if first is None:
        return ""
    return (
        f" On the way there is a dip, {found['barrier'] - half[first:].min():.2f} eV below the top: a shallow minimum of this "
        f"potential, where an atom hardly rests."
    )


SADDLE = Story(
    "What a saddle looks like",
    "How does a defect move, and how often?",
    measured.saddle,
    (
        Step(
            "Over the top",
            lambda f: (
                f"An atom beside a vacancy jumps **{f['jump_length']:.2f} Å** into it, pushing its neighbours aside. Drawn is the "
                f"energy with that atom held on its way and the others relaxed; the second half mirrors the first. The highest "
                f"saddle, in the middle, lies **{f['barrier']:.3f} eV** above the minimum.{_dip(f)}"
            ),
            lambda f: curves(
                Curve(f["fraction"], f["energy"], colour=VERMILLION),
                Curve(f["fraction"], f["energy"], colour=VERMILLION, marker="circle"),
                x_label="part of the way",
                y_label="energy (eV)",
                vertical=0.5,
            ),
        ),
        Step(
            "At rest, but not stable",
            lambda f: (
                f"No force acts at either end of the climb. At the minimum each of the "
                f"{len(f['frequencies']['minimum']):,} modes is "
                f"stiff; at the saddle exactly one is not: its curvature is negative, its frequency imaginary, "
                f"drawn here as **{f['unstable_frequency']:.2f} THz**."
            ),
            lambda f: stems(
                f["frequencies"]["saddle"][:15],
                x_label="mode of the saddle, from the lowest",
                y_label="frequency; imaginary ones negative (THz)",
            ),
        ),
        Step(
            "The other modes count as well",
            lambda f: (
                f"All other modes differ between minimum and saddle, too. The wider the saddle, the more often it is "
                f"met: a migration "
                f"entropy of **{f['migration_entropy']:+.2f} k_B**, or a factor of {np.exp(f['migration_entropy']):.0f}."
            ),
            lambda f: curves(
                Curve(
                    np.arange(1, 41),
                    np.sort(f["frequencies"]["minimum"])[:40],
                    "minimum",
                    BLUE,
                    marker="circle",
                ),
                Curve(
                    np.arange(1, 41),
                    np.sort(f["frequencies"]["saddle"])[1:41],
                    "saddle, without its unstable mode",
                    VERMILLION,
                    marker="diamond",
                ),
                x_label="mode, from the lowest",
                y_label="frequency (THz)",
            ),
        ),
        Step(
            "Vineyard's attempt frequency",
            lambda f: (
                f"ν* is the product of all frequencies of the minimum over that of the saddle: "
                f"**{f['attempt_frequency']:.0f} THz**. The "
                f"guess found in many papers is 10 THz; the frequency with which the atom knocks at the saddle is "
                f"{f['reaction_frequency']:.1f} THz."
            ),
            lambda f: bars(
                {
                    "often assumed": 10.0,
                    "along the jump, ν₀": f["reaction_frequency"],
                    "Vineyard, ν*": f["attempt_frequency"],
                },
                y_label="frequency (THz)",
                highlighted=["Vineyard, ν*"],
                digits=1,
            ),
        ),
        Step(
            "How often it jumps",
            lambda f: (
                f"Rate = ν* exp(−E / k_B T): at 300 K **{np.interp(300.0, f['temperature'], f['rate']):.2g}** jumps a "
                f"second over this "
                f"saddle, at 900 K {np.interp(900.0, f['temperature'], f['rate']):.2g}. The barrier sets the slope, "
                f"the entropy the "
                f"height: with 10 THz every rate would be {f['attempt_frequency'] / 10.0:.0f} times smaller."
            ),
            lambda f: curves(
                Curve(1000.0 / f["temperature"], f["rate"], "Vineyard", VERMILLION),
                Curve(
                    1000.0 / f["temperature"],
                    f["rate"] * 10.0 / f["attempt_frequency"],
                    "10 THz assumed",
                    BLUE,
                    "dashed",
                ),
                x_label="1000 / T (1/K)",
                y_label="jumps a second",
                log_y=True,
            ),
        ),
    ),
)

STORIES = (SOFT_DUMBBELL, CUTOFF, SPLITS, SADDLE)
