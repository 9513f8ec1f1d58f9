"""The 3D viewer in a real browser: what it draws, what it tells Python, and that it leaves nothing behind."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

pn = pytest.importorskip("panel")

from dashboards.viewer import AtomsView, colour_bar_html, default_limits, lookup_table  # noqa: E402
from dashboards.viewer.colour_bar import tick_labels  # noqa: E402
from ldml.errors import InputError  # noqa: E402

SPACING = 2.5
CENTRE = 13  # of the 27 atoms of `cube`, in the middle of its cell
ALIKE = 0.01  # pixels that differ clearly where edges of the same scene are drawn with more samples


@pytest.fixture
def cube():
    """27 atoms on a simple cubic lattice, one of them in the middle of the cell."""
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), -1).reshape(-1, 3)
    return Atoms("Fe27", (grid + 0.5) * SPACING, cell=[3 * SPACING] * 3, pbc=True)


@pytest.fixture
def serve(page):
    """Serves a component and waits until each of its views has drawn its first frame."""
    from panel.tests.util import serve_component, wait_until

    def start(component):
        serve_component(page, component)
        for view in component.select(AtomsView):
            wait_until(lambda view=view: view.status.get("state") == "ready", page, timeout=30_000)

    return start


@pytest.fixture
def soon(page):
    """Waits until a condition holds; software rendering may need seconds."""
    from panel.tests.util import wait_until

    return lambda condition: wait_until(condition, page, timeout=20_000)


@pytest.fixture
def look(page, picture):
    """What the n-th view shows, without the ring that marks the keyboard's focus."""
    return lambda n=0: picture(page.locator("canvas").nth(n))[8:-8, 8:-8]


def changed(before, after):
    """Part of the pixels that differ clearly."""
    return (np.abs(after - before).max(axis=-1) > 60).mean()


def coverage(image):
    """Part of the pixels that are not background."""
    return (np.abs(image - image[2, 2]).max(axis=-1) > 12).mean()


def next_frame(view):
    """A condition for `soon`: the browser has drawn again since now."""
    revision = view.status["revision"]
    return lambda: view.status["revision"] > revision


@pytest.mark.browser
def test_atoms_are_drawn_in_many_colours(page, serve, look, cube):
    view = AtomsView(width=400, height=300)
    view.show(cube, np.linspace(0, 1, 27), palette="viridis")
    serve(view)
    image = look()
    assert coverage(image) > 0.05
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 200
    assert view.status["drawn"] == 27
    assert view.status["mode"] == "spheres"


@pytest.mark.browser
def test_a_pick_under_a_filter_gives_the_original_index(page, serve, soon, cube):
    view = AtomsView(width=400, height=300)
    view.show(cube, visible=[CENTRE])
    serve(view)
    page.locator("canvas").click(position={"x": 200, "y": 150})
    soon(lambda: view.picked == CENTRE and view.selected == CENTRE)
    page.locator("canvas").click(position={"x": 8, "y": 8})
    soon(lambda: view.picked == -1 and view.selected == -1)


@pytest.mark.browser
def test_the_filter_hides_atoms_and_the_ring_follows_the_selection(page, serve, soon, look, cube):
    view = AtomsView(width=400, height=300)
    view.show(cube)
    serve(view)
    everything = coverage(look())
    drawn = next_frame(view)
    view.filter(np.arange(27) < 5)
    soon(drawn)
    assert view.status["drawn"] == 5
    assert coverage(look()) < 0.7 * everything
    rings = page.locator(".atoms-stage svg circle")
    view.selected = 3
    soon(lambda: rings.count() > 0)
    view.selected = CENTRE  # filtered out
    soon(lambda: rings.count() == 0)


@pytest.mark.browser
def test_new_values_change_the_colours_and_nothing_else(page, serve, soon, look, cube):
    view = AtomsView(width=400, height=300)
    view.show(cube, np.full(27, -1.0), limits=(-1, 1))
    serve(view)
    blue, draw_ms = look(), view.status["draw_ms"]
    drawn = next_frame(view)
    view.recolour(np.full(27, 1.0), limits=(-1, 1))
    soon(drawn)
    red = look()
    assert (blue[..., 2] - blue[..., 0]).max() > 100  # blue over red channel
    assert (red[..., 0] - red[..., 2]).max() > 100
    assert coverage(red) == pytest.approx(coverage(blue), rel=0.05)
    assert view.status["draw_ms"] == draw_ms  # not rebuilt
    drawn = next_frame(view)
    view.recolour(np.full(27, np.nan), limits=(-1, 1))
    soon(drawn)
    grey = look()[:220, 70:]  # beside the coloured axes
    atoms = np.abs(grey - grey[2, 2]).max(axis=-1) > 60
    assert np.ptp(grey[atoms], axis=-1).max() < 40
    assert 90 < np.median(grey[atoms]) < 200


@pytest.mark.browser
def test_mouse_and_keys_turn_and_zoom(page, serve, soon, look, cube):
    view = AtomsView(width=400, height=300)
    view.show(cube, np.arange(27.0))
    serve(view)
    start, box = look(), page.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + 280, box["y"] + 120)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 150, steps=4)  # ends on the atom in the middle
    page.mouse.up()
    soon(lambda: changed(start, look()) > 0.02)
    assert view.picked == -1  # a drag is no tap
    page.locator(".atoms-stage").press("Home")
    soon(lambda: changed(start, look()) < 0.002)
    page.locator(".atoms-stage").press("ArrowLeft")
    soon(lambda: changed(start, look()) > 0.02)
    before = coverage(look())
    page.locator(".atoms-stage").press("-")
    page.mouse.wheel(0, 400)
    soon(lambda: coverage(look()) < 0.6 * before)
    page.locator(".atoms-stage").press("Home")
    soon(lambda: changed(start, look()) < 0.002)
    page.keyboard.down("Shift")
    page.mouse.down()
    page.mouse.move(box["x"] + 380, box["y"] + 150, steps=4)
    page.mouse.up()
    soon(lambda: coverage(look()[:, :120]) < 0.02)  # moved to the right, the left is empty


@pytest.mark.browser
def test_the_camera_stays_for_frames_of_one_cell_and_follows_another(page, serve, soon, look, cube):
    view = AtomsView(width=400, height=300)
    view.show(cube)
    serve(view)
    fitted = coverage(look())
    for _ in range(6):
        page.locator(".atoms-stage").press("+")
    soon(lambda: coverage(look()) > 1.4 * fitted)
    for strain, kept in ((1.01, True), (2.0, False)):
        atoms = cube.copy()
        atoms.set_cell(strain * cube.cell, scale_atoms=True)
        drawn = next_frame(view)
        view.show(atoms)
        soon(drawn)
        assert (coverage(look()) > 1.3 * fitted) == kept


@pytest.mark.browser
def test_the_camera_goes_to_the_atoms_drawn_when_asked(page, serve, soon, look, cube):
    view = AtomsView(width=400, height=300)
    view.show(cube, visible=[0, 1])
    serve(view)
    fitted = coverage(look())
    view.filter([1, 2])
    view.fit_camera()
    soon(lambda: coverage(look()) > 3 * fitted)


@pytest.mark.browser
def test_the_picture_follows_the_window(page, serve, soon, look, cube):
    page.set_viewport_size({"width": 900, "height": 600})
    view = AtomsView(height=300)  # as wide as the page
    view.show(cube)
    serve(view)
    wide = page.locator("canvas").bounding_box()["width"]
    page.set_viewport_size({"width": 500, "height": 600})
    soon(lambda: page.locator("canvas").bounding_box()["width"] < wide - 300)
    soon(lambda: coverage(look()) > 0.05)


@pytest.mark.browser
def test_two_views_in_a_material_page_follow_its_theme(page, serve, soon, look, cube):
    import panel_material_ui as pmui

    views = [AtomsView(width=380, height=280) for _ in range(2)]
    for view in views:
        view.show(cube, np.arange(27.0), visible=[CENTRE])
    serve(pmui.Page(title="Two views", dark_theme=True, main=[pn.Row(*views)]))
    assert page.locator("canvas").count() == 2
    for n in range(2):
        image = look(n)
        assert image[2, 2].max() < 60
        assert coverage(image) > 0.001
    page.locator("canvas").nth(1).click(position={"x": 190, "y": 140})
    soon(lambda: views[1].picked == CENTRE)
    assert views[0].picked == -1
    assert page.locator(".atoms-stage").first.get_attribute("data-theme") == "dark"
    page.get_by_role("button", name="Toggle theme").click()
    soon(lambda: page.locator(".atoms-stage[data-theme=light]").count() == 2)
    assert look()[2, 2].min() > 200


@pytest.mark.browser
def test_linked_views_turn_and_zoom_together(page, serve, soon, look, cube):
    views = [AtomsView(width=380, height=280, link=link) for link in ("pair", "pair", "")]
    for view in views:
        view.show(cube, np.arange(27.0))
    serve(pn.Row(*views))
    before = [look(n) for n in range(3)]
    page.locator(".atoms-stage").nth(1).press("ArrowLeft")
    page.locator(".atoms-stage").nth(1).press("+")
    soon(lambda: changed(before[0], look(0)) > 0.02)
    soon(lambda: changed(look(0), look(1)) < ALIKE)
    assert changed(before[2], look(2)) < ALIKE


@pytest.mark.browser
def test_a_view_that_joins_takes_the_camera_of_its_partner(page, serve, soon, look, cube):
    first, second = (AtomsView(width=380, height=280, link="pair") for _ in range(2))
    first.show(cube, np.arange(27.0))
    row = pn.Row(first)
    serve(row)
    fitted = look(0)
    page.locator(".atoms-stage").first.press("ArrowUp")
    soon(lambda: changed(fitted, look(0)) > 0.02)
    turned = look(0)
    second.show(cube, np.arange(27.0))
    row.append(second)
    soon(lambda: second.status.get("state") == "ready" and changed(turned, look(1)) < ALIKE)
    assert changed(turned, look(0)) < ALIKE


@pytest.mark.browser
def test_the_picture_is_saved_as_a_file(page, serve, cube):
    view = AtomsView(width=400, height=300)
    view.show(cube)
    serve(view)
    with page.expect_download() as download:
        view.save_image("V2-0.png")
    assert download.value.suggested_filename == "V2-0.png"
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")


@pytest.mark.browser
def test_ghosts_are_marked(page, serve, soon, cube):
    vacancy = cube.positions[CENTRE].copy()
    del cube[CENTRE]
    view = AtomsView(width=400, height=300)
    view.show(cube)
    serve(view)
    rings = page.locator(".atoms-stage svg circle")
    assert rings.count() == 0
    view.show(cube, ghosts=[vacancy])
    soon(lambda: rings.count() == 1)
    assert float(rings.get_attribute("cx")) == pytest.approx(200, abs=1)
    assert float(rings.get_attribute("cy")) == pytest.approx(150, abs=1)


@pytest.mark.browser
def test_the_picture_can_be_exported(page, serve, soon, cube):
    view = AtomsView(width=400, height=300)
    view.show(cube)
    serve(view)
    view.request_image()
    soon(lambda: view.image.startswith("data:image/png;base64,"))


@pytest.mark.browser
def test_many_atoms_are_drawn_as_points(page, serve, look):
    n = 55
    grid = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), -1).reshape(-1, 3)
    view = AtomsView(width=300, height=240)
    view.show(Atoms(np.full(n**3, 26), grid * SPACING, cell=[n * SPACING] * 3), grid[:, 0])
    serve(view)
    assert view.status["mode"] == "points"
    assert view.status["drawn"] == n**3
    assert coverage(look()) > 0.2


@pytest.mark.browser
def test_samples_that_smooth_no_atom_are_not_drawn(page, serve, cube):
    view = AtomsView(width=400, height=300)
    view.show(cube)
    serve(view)
    sampled = "canvas => canvas.getContext('webgl2').getContextAttributes().antialias"
    assert not page.locator("canvas").evaluate(sampled)
    assert page.evaluate(
        f"({sampled})(document.createElement('canvas'))"
    )  # other pictures in the page keep what they ask for


@pytest.mark.browser
def test_a_removed_view_frees_its_graphics_context(page, serve, soon, cube):
    view = AtomsView(width=400, height=300)
    view.show(cube)
    column = pn.Column(view)
    serve(column)
    page.locator("canvas").evaluate("canvas => { globalThis.context = canvas.getContext('webgl2') }")
    assert not page.evaluate("context.isContextLost()")
    column.clear()
    soon(lambda: page.evaluate("context.isContextLost()"))
    assert page.locator("canvas").count() == 0


@pytest.mark.browser
def test_the_picture_returns_after_a_lost_graphics_context(page, serve, soon, look, cube):
    view = AtomsView(width=400, height=300)
    view.show(cube)
    serve(view)
    shown = coverage(look())
    page.locator("canvas").evaluate(
        "canvas => { globalThis.loser = canvas.getContext('webgl2').getExtension('WEBGL_lose_context');"
        " loser.loseContext() }"
    )
    page.get_by_text("The graphics card is busy").wait_for()
    drawn = next_frame(view)
    page.evaluate("loser.restoreContext()")
    soon(drawn)
    assert coverage(look()) == pytest.approx(shown, rel=0.05)


@pytest.mark.browser
def test_a_view_in_a_hidden_tab_is_drawn_when_it_is_shown(page, soon, look, cube):
    from panel.tests.util import serve_component

    view = AtomsView(width=400, height=300)
    view.show(cube)
    serve_component(page, pn.Tabs(("first", pn.Column("text")), ("second", view)))
    page.get_by_text("second").click()
    soon(lambda: view.status.get("state") == "ready")
    assert coverage(look()) > 0.05


@pytest.mark.browser
def test_without_webgl_the_view_says_so(page, soon, cube):
    from panel.tests.util import serve_component

    page.add_init_script(
        "const real = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {"
        "  return kind.startsWith('webgl') ? null : real.call(this, kind, ...rest); }"
    )
    view = AtomsView(width=400, height=300)
    view.show(cube)
    serve_component(page, view)
    page.get_by_text("no WebGL 2").wait_for()
    soon(lambda: view.status.get("state") == "unavailable")


def test_arrays_that_do_not_fit_are_refused(cube):
    view = AtomsView()
    with pytest.raises(InputError, match=r"values has shape \(26,\).*27 atoms"):
        view.show(cube, np.zeros(26))
    with pytest.raises(InputError, match="index 27"):
        view.show(cube, visible=[3, 27])
    with pytest.raises(InputError, match="increasing"):
        view.show(cube, np.zeros(27), limits=(1, 1))
    cube.positions[4, 1] = np.nan
    with pytest.raises(InputError, match="atom 4"):
        view.show(cube)


def test_limits_show_all_values_and_centre_the_diverging_scale():
    values = [0.1, -0.4, np.nan, 0.2]
    assert default_limits(values, "blue-white-red") == (-0.4, 0.4)
    assert default_limits(values, "cividis") == (-0.4, 0.2)
    low, high = default_limits([np.nan], "cividis")
    assert low < high


@pytest.mark.parametrize("palette", ["blue-white-red", "cividis", "viridis"])
def test_a_palette_never_repeats_a_grey_level_far_from_it(palette):
    """Readers who see no hue still read the scale: lightness is monotonic, or has one peak at the middle."""
    table = lookup_table(palette).astype(float)
    assert table.shape == (256, 3)
    lightness = np.diff((table @ [0.2126, 0.7152, 0.0722])[::8])
    half = len(lightness) // 2 if palette == "blue-white-red" else len(lightness)
    assert (lightness[:half] > 0).all()
    assert (lightness[half + 1 :] < 0).all()


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.35, 0.35, ["−0.2", "0.0", "0.2"]),
        (0, 1, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (-3, 12, ["0", "5", "10"]),
        (0, 2e-6, ["0", "5.0e−07", "1.0e−06", "1.5e−06", "2.0e−06"]),
    ],
)
def test_ticks_are_round_numbers(low, high, expected):
    assert [label for _, label in tick_labels(low, high)] == expected


def test_the_colour_bar_escapes_its_title():
    bar = colour_bar_html("viridis", (0, 1), "<b>S_i - S_bulk</b>")
    assert "<b>" not in bar
    assert "S<sub>i</sub> − S<sub>bulk</sub>" in bar


@pytest.fixture
def build():
    """hatch_build.py as a module."""
    path = Path(__file__).parents[2] / "hatch_build.py"
    spec = importlib.util.spec_from_file_location("hatch_build", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_rebuild_keeps_ngl_and_needs_no_network(build, tmp_path, monkeypatch):
    (tmp_path / build.VIEWER).mkdir(parents=True)
    (tmp_path / build.SOURCE).write_text("export const view = 1;\n")
    monkeypatch.setattr(build, "_downloaded", lambda: ("the licence", "the library"))
    assert build.build_bundle(tmp_path)
    monkeypatch.setattr(build, "_downloaded", lambda: pytest.fail("asked the network"))
    assert not build.build_bundle(tmp_path)
    (tmp_path / build.SOURCE).write_text("export const view = 2;\n")
    assert build.build_bundle(tmp_path)
    bundle = (tmp_path / build.BUNDLE).read_text()
    assert "the licence" in bundle
    assert "the library" in bundle
    assert bundle.endswith("export const view = 2;\n")


def test_an_archive_that_is_not_the_pinned_one_is_refused(build, tmp_path, monkeypatch):
    archive = tmp_path / "ngl.tgz"
    archive.write_bytes(b"something else")
    monkeypatch.setattr(build, "_npm_pack", lambda package, folder: archive)
    with pytest.raises(build.BundleError, match="not the pinned"):
        build._downloaded()


def test_a_registry_out_of_reach_is_named_as_the_reason(build, tmp_path, monkeypatch):
    from subprocess import CompletedProcess

    answer = CompletedProcess([], 1, "", "npm error code ENOTFOUND")
    monkeypatch.setattr(build, "_run_npm", lambda arguments, **options: answer)
    with pytest.raises(build.BundleError, match=r"registry reachable[\s\S]*ENOTFOUND"):
        build._npm_pack("ngl@2.5.0", tmp_path)
