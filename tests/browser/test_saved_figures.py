"""Figures are saved from their toolbar by the browser alone."""

import pytest

pytestmark = pytest.mark.browser


@pytest.fixture(params=["bokeh", "holoviews"])
def plot(request):
    """A figure of each kind, as the pages show it."""
    import holoviews as hv
    import panel as pn

    from dashboards.figures.style import plot_options, styled_figure

    if request.param == "holoviews":
        curve = hv.Curve([(1, 2), (2, 3)], "proportion", "RMSE (k_B)")
        return pn.pane.HoloViews(hv.Overlay([curve]).opts(**plot_options(height=300)), width=600)
    figure = styled_figure(x_label="atoms N", y_label="RMSE (k_B)", height=300)
    figure.line([1, 2], [2, 3])
    return pn.pane.Bokeh(figure, width=600)


def test_a_figure_is_saved_as_svg_and_offers_png(page, plot):
    from panel.tests.util import serve_component

    serve_component(page, plot)
    page.locator(".bk-Figure").first.wait_for()
    page.mouse.move(300, 150)  # the toolbar comes with the mouse
    page.mouse.move(310, 160)
    page.get_by_title("Save", exact=True).first.wait_for()  # asks the user for a place, which nobody here can name
    button = page.get_by_title("Save as SVG")
    if not button.count():  # there is no room for it beside the others
        page.locator(".bk-tool-overflow").click()
    with page.expect_download() as download:
        button.first.click()
    content = download.value.path().read_text()
    assert content.startswith("<svg")
    assert "RMSE (k_B)" in content
