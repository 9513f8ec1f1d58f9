"""Reading the library and parameter files of LAMMPS: what they set, and how they are refused."""

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from scipy.special import eval_legendre

from ldml.errors import InputError
from ldml.neighbours import neighbour_list
from ldml.potentials.meam.files import REFERENCE_LATTICES, MeamParameters, read_meam_files

COPPER = """# DATE: 2012-06-29 UNITS: metal CITATION: Baskes, Phys Rev B, 46, 2727-2742 (1992)
'Cu'        'fcc'   12.     29           63.54
5.10570729  3.634   2.20    6            2.20  3.62    3.54    1.07
1.0         3.13803254      2.49438711   2.95269237    1.      0
"""
EVERY_SETTING = """# all there is
rc = 4.5
delr=0.2   # a comment
augt1 = 0
gsmooth_factor = 50.0
ialloy = 2
mixture_ref_t = 1
erose_form = 2
emb_lin_neg = 1
bkgd_dyn = 1
rho0(1) = 1.1
Ec(1,1) = 3.5
alpha(1,1) = 5.0
re(1 1) = 2.55
attrac(1,1) = 0.02
repuls(1,1) = 0.03
nn2(1,1) = 1
zbl(1,1) = 0
lattce(1,1) = 'hcp'
Cmin(1,1,1) = 0.5
Cmax(1,1,1) = 2.0
"""


@pytest.fixture
def library(tmp_path):
    path = tmp_path / "library.meam"
    path.write_text(COPPER)
    return path


def _parameters(tmp_path, text):
    path = tmp_path / "Cu.meam"
    path.write_text(text)
    return path


def test_library_entry_and_defaults(library):
    settings, citation = read_meam_files(library, None, "Cu")
    assert settings == MeamParameters(
        element="Cu",
        lattice="fcc",
        atomic_number=29,
        alpha=5.10570729,
        beta=(3.634, 2.2, 6.0, 2.2),
        neighbour_distance=3.62 / sqrt(2),
        cohesive_energy=3.54,
        embedding=1.07,
        t=(3.13803254, 2.49438711, 2.95269237),
        density_scale=1.0,
        ibar=0,
    )
    # the defaults of LAMMPS
    assert (settings.cutoff, settings.smoothing, settings.c_min, settings.c_max) == (4.0, 0.1, 2.0, 2.8)
    assert settings.nuclear_repulsion
    assert settings.augmented_t1
    assert citation == "Baskes, Phys Rev B, 46, 2727-2742 (1992)"


def test_every_setting(library, tmp_path):
    settings, citation = read_meam_files(library, _parameters(tmp_path, EVERY_SETTING), "Cu")
    defaults, _ = read_meam_files(library, None, "Cu")
    assert settings == replace(
        defaults,
        cutoff=4.5,
        smoothing=0.2,
        augmented_t1=False,
        gsmooth_factor=50.0,
        alloy_rule=2,
        mixed_reference=True,
        rose_form=2,
        linear_below_zero=True,
        dynamo_background=True,
        density_scale=1.1,
        cohesive_energy=3.5,
        alpha=5.0,
        neighbour_distance=2.55,
        attrac=0.02,
        repuls=0.03,
        second_neighbours=True,
        nuclear_repulsion=False,
        lattice="hcp",
        c_min=0.5,
        c_max=2.0,
    )
    assert citation == "Baskes, Phys Rev B, 46, 2727-2742 (1992)"


def test_the_first_of_two_entries_counts(tmp_path):
    path = tmp_path / "library.meam"
    path.write_text(COPPER + COPPER.replace("3.54 ", "9.99 ").replace("'Cu'", '"Cu"'))
    assert read_meam_files(path, None, "Cu")[0].cohesive_energy == 3.54


def test_files_without_citation(tmp_path):
    path = tmp_path / "library.meam"
    path.write_text(COPPER.replace("CITATION: Baskes, Phys Rev B, 46, 2727-2742 (1992)", "CITATION: Unknown"))
    assert read_meam_files(path, None, "Cu")[1] == "MEAM parameters from library.meam"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2.95269237    1.      0", "2.95269237    1.", r"line 2: the entry 'Cu' has 18 words .* instead of 19"),
        ("1.      0", "1.      0 7", r"line 2: the entry 'Cu' has 20 words"),
        ("5.10570729", "5.1x", r"line 3: alpha = '5.1x' is not a number"),
        ("5.10570729", "nan", r"line 3: alpha = nan is not finite"),
        ("5.10570729", "-5.1", r"line 3: alpha = -5.1 is not positive"),
        ("1.      0", "1.      2", r"line 4: ibar = 2 is not supported; known: 0, 1, 3, 4, -5"),
        ("1.      0", "1.      -5.0", r"line 4: ibar = '-5.0' is not a whole number \(write -5, not -5.0\)"),
        ("'fcc'", "'b1'", r"line 2: lattice = 'b1' is not supported; known: bcc, fcc"),
        ("12.     29", "8.     29", r"line 2: z = 8 is not the number of neighbours in fcc, 12"),
        ("12.     29", "12.     290", r"line 2: ielement = 290 is not an atomic number"),
        ("1.0         3.138", "0.5         3.138", r"line 4: t0 = 0.5 is not supported; it must be 1"),
        ("'Cu'", "'Ag'", r"has no element 'Cu'; it has Ag"),
    ],
)
def test_bad_libraries(tmp_path, old, new, message):
    path = tmp_path / "library.meam"
    assert old in COPPER
    path.write_text(COPPER.replace(old, new))
    with pytest.raises(InputError, match=message):
        read_meam_files(path, None, "Cu")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rc = 4.0\nrcut = 5.0\n", r"Cu.meam, line 2: rcut is not supported; known: rc, delr"),
        ("rc 4.0\n", r"Cu.meam, line 1: 'rc 4.0' is not of the form `name = value`"),
        ("rc =\n", r"line 1: 'rc =' is not of the form"),
        ("\n# x\nrc = wide\n", r"line 3: rc = 'wide' is not a number"),
        ("rc = 4.0\nrc = 5.0\n", r"line 2: rc is set a second time, after .*Cu.meam, line 1; keep one"),
        ("rc(1) = 4.0\n", r"line 1: rc has 1 indices instead of 0; write rc = value"),
        ("Cmin(1,1) = 0.5\n", r"line 1: Cmin has 2 indices instead of 3; write Cmin\(1,1,1\) = value"),
        ("Cmin(1,1,2) = 0.5\n", r"line 1: Cmin\(1,1,2\) is about another element"),
        ("delta(1,1) = 0.5\n", r"line 1: delta is not supported"),
        ("theta(1,1) = 100\n", r"line 1: theta is not supported"),
        ("nn2(1,1) = 2\n", r"line 1: nn2 = 2 is neither 0 nor 1"),
        ("erose_form = 3\n", r"line 1: erose_form = 3 is not supported; known: 0, 1, 2"),
        ("ialloy = 5\n", r"line 1: ialloy = 5 is not supported"),
        ("ialloy = 1.0\n", r"line 1: ialloy = '1.0' is not a whole number"),
        ("lattce(1,1) = 'l12'\n", r"line 1: lattce = 'l12' is not supported"),
        ("Cmax(1,1,1) = 1.5\n", r"line 1: Cmax = 1.5 must be above 1 and above Cmin = 2.0"),
        ("delr = 4.0\n", r"line 1: delr = 4.0 must be smaller than rc = 4.0"),
        ("rc = -1\n", r"line 1: rc = -1.0 is not positive"),
    ],
)
def test_bad_parameter_files(library, tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_meam_files(library, _parameters(tmp_path, text), "Cu")


def test_mixed_reference_that_lammps_computes_otherwise(tmp_path):
    path = tmp_path / "library.meam"
    path.write_text(COPPER.replace("1.      0", "1.      1"))
    with pytest.raises(InputError, match=r"line 1: mixture_ref_t = 1 is not supported together with ialloy = 1"):
        read_meam_files(path, _parameters(tmp_path, "mixture_ref_t = 1\nialloy = 1\n"), "Cu")


def test_missing_files(library, tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*none.meam: No such file"):
        read_meam_files(tmp_path / "none.meam", None, "Cu")
    with pytest.raises(InputError, match=r"cannot read .*none.meam: No such file"):
        read_meam_files(library, tmp_path / "none.meam", "Cu")


def test_values_are_checked_without_files_too(library):
    settings, _ = read_meam_files(library, None, "Cu")
    with pytest.raises(InputError, match="MEAM parameters of Cu: ibar = 7 is not supported"):
        replace(settings, ibar=7)


@pytest.mark.parametrize(
    ("lattice", "unit", "basis"),
    [
        ("sc", "cube", [(0, 0, 0)]),
        ("bcc", "cube", [(0, 0, 0), (0.5, 0.5, 0.5)]),
        ("fcc", "cube", [(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)]),
        (
            "dia",
            "cube",
            [
                (0, 0, 0),
                (0, 0.5, 0.5),
                (0.5, 0, 0.5),
                (0.5, 0.5, 0),
                (0.25, 0.25, 0.25),
                (0.25, 0.75, 0.75),
                (0.75, 0.25, 0.75),
                (0.75, 0.75, 0.25),
            ],
        ),
        ("hcp", "hexagon", [(0, 0, 0), (1 / 3, 2 / 3, 0.5)]),
    ],
)
def test_reference_lattices(lattice, unit, basis):
    """Neighbours, distances, C and shape factors by counting in the crystal."""
    cell = np.eye(3) if unit == "cube" else np.array([[1, 0, 0], [-0.5, sqrt(0.75), 0], [0, 0, sqrt(8 / 3)]])
    pairs = neighbour_list(np.array(basis) @ cell, cell, True, 1.9)
    end = pairs.offsets[1]
    distances, vectors = pairs.distances[:end], pairs.vectors[:end]
    reference = REFERENCE_LATTICES[lattice]
    first = distances < distances.min() * 1.001
    assert first.sum() == reference.n_first
    assert distances.min() == pytest.approx(reference.first_distance)
    second = np.abs(distances - reference.ratio * distances.min()) < 1e-6
    assert second.sum() == reference.n_second
    assert distances[~first].min() == pytest.approx(reference.ratio * distances.min())
    # sum over pairs of P_l times 1, 2/3, 2/5 is sum_m Q_lm²
    cosines = vectors[first] @ vectors[first].T / distances.min() ** 2
    shapes = [scale * eval_legendre(l, cosines).sum() for l, scale in ((1, 1), (2, 2 / 3), (3, 2 / 5))]
    assert shapes == pytest.approx(reference.shapes, abs=1e-12)
    bond = vectors[second][0]
    to_bond = np.linalg.norm(vectors[first] - bond, axis=1)
    assert (np.abs(to_bond - distances.min()) < 1e-6).sum() == reference.n_screening
    assert reference.second_c == pytest.approx(4 / reference.ratio**2 - 1)
