"""The app in a real browser: Structure and Reference."""

import re

import browser_jobs
import numpy as np
import pytest
from app_actions import rattled_defects, tap_point, turn_to, wait_until

pytestmark = pytest.mark.browser

# screen position of an atom's exact point in the profile
POINT = """(atom) => {
  for (const plot of Bokeh.index.query((view) => view.model.type == "Figure")) {
    for (const renderer of plot.model.renderers) {
      const data = renderer.data_source?.data
      const at = data?.atom && data?.exact ? [...data.atom].indexOf(atom) : -1
      if (at < 0) continue
      const box = plot.canvas_view.el.getBoundingClientRect()
      const x = plot.frame.x_scale.compute(data.distance[at]), y = plot.frame.y_scale.compute(data.exact[at])
      return box.width > 0 ? [box.x + x, box.y + y] : null
    }
  }
  return null
}"""


@pytest.fixture(scope="module")
def dataset(crystal4, vacancy4):
    """A relaxed vacancy with exact shares, the same without, and 24 rattled defects."""
    import ldml
    from dashboards.state import default_descriptor
    from ldml.dataset import Dataset, Entry

    exact = ldml.formation_entropy(vacancy4, crystal4, "Fe-AM04", local=True)
    vacancies = [
        Entry(vacancy4, "V1", "V1-00", exact.value, 1.723, 1e-6, exact.local),
        Entry(vacancy4, "V1", "V1-01", exact.value, 1.723, 1e-6),
    ]
    entries = vacancies + rattled_defects(crystal4)
    data = Dataset.from_entries("small", [crystal4], entries, {"potential": "Fe-AM04"})
    data.descriptor_differences(default_descriptor())
    return data


@pytest.fixture
def page(session, app):
    """The page that all tests of this file share."""
    return app.page


def view_of(page):
    """The 3D view in sight."""
    return page.get_by_role("application").locator("visible=true").first


def still(page, picture, locator):
    """What a locator shows once it has stopped changing."""
    before, now = None, picture(locator)
    for _ in range(40):
        if before is not None and before.shape == now.shape and (before == now).all():
            return now
        page.wait_for_timeout(150)
        before, now = now, picture(locator)
    return now


@pytest.fixture
def structure(page, session):
    """The Structure page with the vacancy, drawn."""
    turn_to(page, "Structure")
    view = view_of(page)
    view.get_by_role("status").or_(view).first.wait_for()
    page.get_by_text("in view: V1-00").wait_for()
    wait_until(page, lambda: "127 atoms" in (view.get_attribute("aria-label") or ""))
    return view


def tap_an_atom(page, view, described):
    """Tap around the middle of the view until the page describes an atom."""
    box = view.bounding_box()
    for dx, dy in [(0.0, 0.0), (0.05, 0.0), (0.0, 0.06), (-0.05, 0.03), (0.08, 0.05), (-0.07, -0.06), (0.03, -0.09)]:
        page.mouse.click(box["x"] + box["width"] * (0.5 + dx), box["y"] + box["height"] * (0.5 + dy))
        page.wait_for_timeout(300)
        if described():
            return
    pytest.fail("no tap met an atom")


def test_atoms_are_drawn_in_the_colours_of_their_entropy(page, structure, picture):
    image = still(page, picture, structure)
    red = (image[..., 0] > image[..., 2] + 60).mean()  # positive shares next to the vacancy
    assert red > 0.002
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 200
    page.get_by_role("img", name=re.compile("Colour scale: exact")).wait_for()


def test_defect_atoms_only_changes_the_picture(page, structure, picture):
    everything = still(page, picture, structure)
    page.get_by_label("Defect atoms only").locator("visible=true").click()
    wait_until(page, lambda: "127 atoms" not in structure.get_attribute("aria-label"))
    few = still(page, picture, structure)
    page.get_by_label("Defect atoms only").locator("visible=true").click()
    wait_until(page, lambda: "127 atoms" in structure.get_attribute("aria-label"))
    paper = np.median(everything.reshape(-1, 3), axis=0)
    covered = [(np.abs(image - paper).sum(axis=-1) > 30).mean() for image in (everything, few)]
    assert 0 < covered[1] < 0.8 * covered[0]


def test_another_colour_changes_the_picture_and_its_scale(page, structure, picture):
    before = still(page, picture, structure)
    page.get_by_label("Colour by").locator("visible=true").click()
    page.get_by_role("menuitem", name="distance").click()
    page.get_by_role("img", name=re.compile("Colour scale: distance")).locator("visible=true").first.wait_for()
    assert (still(page, picture, structure) != before).mean() > 0.01
    page.get_by_label("Colour by").locator("visible=true").click()
    page.get_by_role("menuitem", name="exact", exact=False).first.click()
    page.get_by_role("img", name=re.compile("Colour scale: exact")).locator("visible=true").first.wait_for()


def test_learned_beside_exact_and_the_neighbours_of_an_atom(page, session, structure):
    page.get_by_label("Beside it").locator("visible=true").click()
    page.get_by_role("menuitem", name="learned beside exact").click()
    views = page.get_by_role("application").locator("visible=true")
    wait_until(page, lambda: views.count() == 2)
    wait_until(page, lambda: "127 atoms" in (views.nth(1).get_attribute("aria-label") or ""))
    page.get_by_role("img", name=re.compile("Colour scale: learned")).locator("visible=true").first.wait_for()
    tap_an_atom(page, views.nth(0), lambda: page.get_by_text(re.compile(r"^Atom \d+$")).count() > 0)
    ring = views.nth(1).locator("svg circle:not([stroke-dasharray])")
    wait_until(page, lambda: ring.count() == 2)  # the second marks the same atom
    page.get_by_role("tab", name="Neighbours").click()
    page.get_by_role("columnheader", name="r (Å)").wait_for()
    page.get_by_role("tab", name="Atom").click()
    page.get_by_label("Beside it").locator("visible=true").click()
    page.get_by_role("menuitem", name="nothing").click()
    wait_until(page, lambda: views.count() == 1)


def test_the_structure_is_downloaded_with_the_values_of_its_atoms(page, session, structure):
    from ldml.structure_files import read_structures

    with page.expect_download() as download:
        page.get_by_role("button", name="Save the structure with").locator("visible=true").click()
    assert download.value.suggested_filename == "V1-00.extxyz"
    (atoms,) = read_structures(download.value.path().read_bytes())
    assert atoms.arrays["local_entropy"] == pytest.approx(session.state.dataset.local_entropy(0), abs=1e-7)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the picture").locator("visible=true").click()
    assert download.value.suggested_filename == "V1-00.png"


def test_a_tapped_point_and_a_tapped_atom_show_their_numbers(page, session, structure):
    local = session.state.dataset.local_entropy(0)
    heading = page.get_by_text(re.compile(r"^Atom \d+$"))
    atom = int(local.argmax())

    def shares_the_point():  # one of its symmetric partners does as well
        return any(abs(local[int(text.split()[1])] - local[atom]) < 0.01 for text in heading.all_inner_texts() if text)

    tap_point(page, POINT, atom, shares_the_point)
    structure.locator("canvas").click(position={"x": 6, "y": 6})
    heading.wait_for(state="hidden")
    tap_an_atom(page, structure, lambda: heading.count() > 0)
    value = local[int(heading.inner_text().split()[1])]
    page.get_by_text(f"{value:+.4f}".replace("-", "−")).wait_for()
    page.get_by_text("(crystal 14)").wait_for()
    structure.locator("canvas").click(position={"x": 6, "y": 6})
    heading.wait_for(state="hidden")


def test_the_next_structure_comes_and_its_exact_shares_are_computed_on_demand(page, session, structure):
    page.get_by_role("button", name="Next").click()
    page.get_by_text("in view: V1-01").wait_for()
    page.get_by_text("No exact local entropies for this structure").wait_for()
    compute = page.get_by_role("button", name="Compute exact")
    compute.click()
    compute.wait_for(state="hidden")
    atom = int(session.state.dataset.local_entropy(0).argmax())
    value = page.get_by_text(f"{session.state.dataset.local_entropy(0)[atom]:+.4f}"[:6])
    tap_point(page, POINT, atom, lambda: value.count() > 0)
    page.get_by_role("button", name="Previous").click()
    page.get_by_text("in view: V1-00").wait_for()


# --- Reference


@pytest.fixture
def reference(page, session):
    """The Reference page, drawn."""
    turn_to(page, "Reference")
    page.get_by_text("Nothing computed yet").wait_for()
    wait_until(page, lambda: "127 atoms" in (view_of(page).get_attribute("aria-label") or ""))
    return page


def compute(page):
    page.get_by_role("button", name="Compute", exact=True).click()


def set_slider(page, label, key, times):
    slider = page.get_by_role("slider", name=re.compile(re.escape(label))).locator("visible=true").first
    slider.focus()
    for _ in range(times):
        slider.press(key)


def upload(page, path):
    page.get_by_role("button", name="Upload", exact=True).click()
    page.locator("input[type=file]").last.set_input_files(path)  # the first is that of the Data page


def test_a_vacancy_is_computed_end_to_end(reference, session, crystal4, vacancy4, picture):
    import ldml

    compute(reference)
    expected = ldml.formation_entropy(vacancy4, crystal4, "Fe-AM04").value
    reference.get_by_text(f"{expected:.3f}").first.wait_for(timeout=30_000)
    reference.get_by_text("V1 4a0, computed").wait_for()
    learned = session.state.fit.model.predict_structures([session.state.reference.atoms])[0]
    reference.get_by_text(f"{learned:.3f}".replace("-", "−")).first.wait_for()
    reference.get_by_role("button", name="Spectrum", exact=True).wait_for()
    image = still(reference, picture, view_of(reference))
    assert (image[..., 0] > image[..., 2] + 60).mean() > 0.002
    reference.get_by_role("button", name="Add to dataset").click()
    reference.get_by_text("small, 27 structures").wait_for()
    reference.get_by_text("in view: V1 4a0").wait_for()
    turn_to(reference, "Structure")
    reference.get_by_text("not used").wait_for()


def test_a_long_one_is_cancelled_and_the_next_waits_and_says_so(reference, session, runner, flag):
    set_slider(reference, "Cell size", "ArrowRight", 3)
    reference.get_by_text(re.compile("685 atoms: estimated")).wait_for()
    compute(reference)
    reference.get_by_text(re.compile("diagonalisation")).wait_for(timeout=60_000)
    reference.get_by_role("button", name="Cancel").click()
    reference.get_by_text("Exact entropy cancelled").wait_for()
    assert session.state.reference is None
    reference.get_by_text("Nothing computed yet").wait_for()
    runner.submit(browser_jobs.wait_for, str(flag))
    set_slider(reference, "Cell size", "ArrowLeft", 3)
    reference.get_by_text(re.compile("127 atoms: estimated")).wait_for()
    compute(reference)
    reference.get_by_text(re.compile("waiting, . jobs? ahead")).wait_for()
    flag.touch()
    reference.get_by_text("V1 4a0, computed").wait_for(timeout=120_000)
    assert reference.get_by_text("cancelled").count() == 0


ATOM = '{n}\nLattice="9 0 0 0 9 0 0 0 9" pbc="{pbc}" Properties=species:S:1:pos:R:3\nFe 0 0 0\n{second}'
BAD = {
    "prose.extxyz": (b"no structure here\n" * 5, "should be a number of atoms"),
    "noise.xyz": (bytes(range(128, 256)) * 50, "not text"),
    "open.extxyz": (ATOM.format(n=1, pbc="F F F", second="").encode(), "not a periodic crystal"),
    "close.extxyz": (ATOM.format(n=2, pbc="T T T", second="Fe 0 0 0.1\n").encode(), "closer than"),
    "nan.extxyz": (ATOM.format(n=2, pbc="T T T", second="Fe nan 0 0\n").encode(), "must be finite"),
}


def test_bad_uploads_are_explained_and_the_page_lives_on(reference, session, tmp_path):
    for name, (content, sentence) in BAD.items():
        (tmp_path / name).write_bytes(content)
        upload(reference, tmp_path / name)
        reference.get_by_role("alert").filter(has_text=sentence).wait_for()
    reference.get_by_role("button", name="Build", exact=True).click()
    compute(reference)
    reference.get_by_text("V1 4a0, computed").wait_for(timeout=30_000)


def test_an_unrelaxed_upload_names_its_force_and_is_relaxed(reference, session, tmp_path, crystal4, am04, rng):
    import ase.io

    from ldml.structures import rattled, vacancy_cluster

    start = rattled(vacancy_cluster(crystal4, 1), 0.05, rng)
    ase.io.write(tmp_path / "start.extxyz", start, format="extxyz")
    force = np.linalg.norm(am04.forces(ase.io.read(tmp_path / "start.extxyz")), axis=1).max()
    upload(reference, tmp_path / "start.extxyz")
    reference.get_by_text("From start.extxyz").wait_for()
    compute(reference)
    reference.get_by_text(f"largest force is {force:.3g} eV/Å").wait_for(timeout=30_000)
    reference.get_by_role("button", name="Relax and run again").click()
    reference.get_by_text("start.extxyz, computed").wait_for(timeout=30_000)
    assert session.state.reference.n_steps > 0
    reference.get_by_text("largest force is").wait_for(state="hidden")
    reference.get_by_role("button", name="Build", exact=True).click()
