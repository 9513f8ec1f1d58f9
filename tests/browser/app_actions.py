"""What a visitor does in the app, and what must not happen meanwhile; Panel is imported where it is there."""

from urllib.parse import urlsplit

import numpy as np

# screen position of a structure's point in the parity plot
POINT = """(name) => {
  for (const plot of Bokeh.index.query((view) => view.model.type == "Figure")) {
    for (const renderer of plot.model.renderers) {
      const data = renderer.data_source?.data
      const at = data?.predicted && data?.name ? [...data.name].indexOf(name) : -1
      const box = plot.canvas_view.el.getBoundingClientRect()
      if (at < 0 || box.width == 0) continue  // not in it, or on a page that is not on show
      const x = plot.frame.x_scale.compute(data.true[at]), y = plot.frame.y_scale.compute(data.predicted[at])
      return [box.x + x, box.y + y]
    }
  }
  return null
}"""


def rattled_defects(bulk, n=12):
    """`n` rattled defects of each of two classes, V2 and I2, S_f and E_f growing along each class.

    Parameters
    ----------
    bulk : Atoms
        Of iron.
    n : int
    """
    from ldml.dataset import Entry
    from ldml.structures import interstitial_cluster, rattled, vacancy_cluster

    rng = np.random.default_rng(7)
    return [
        Entry(rattled(atoms, 0.05, rng), label, f"{label}-{k:02d}", 4.0 + 0.4 * k, 2.0 + 0.1 * k, 1e-6)
        for label, atoms in (("V2", vacancy_cluster(bulk, 2)), ("I2", interstitial_cluster(bulk, 2)))
        for k in range(n)
    ]


def small_dataset():
    """24 rattled defects of 4a0, S_f growing along each class, the default descriptor's totals at hand."""
    from dashboards.state import default_descriptor
    from ldml.dataset import Dataset
    from ldml.potentials import perfect_crystal

    bulk = perfect_crystal("Fe-AM04", 4)
    data = Dataset.from_entries("small", [bulk], rattled_defects(bulk), {"potential": "Fe-AM04"})
    data.descriptor_differences(default_descriptor())
    return data


def turn_to(page, name):
    page.get_by_role("tab", name=name).click()


def enter(page, label, value):
    field = page.get_by_role("textbox", name=label).first
    field.click()
    field.press("Control+A")
    field.press_sequentially(str(value))
    field.press("Tab")  # after Enter, a field of Material UI ignores what is typed until it loses the focus
    page.wait_for_timeout(700)  # the field sends its value a little later than a button its click


def tap_point(page, where, which, answered):
    """Tap a point of a plot until the page has answered; while it settles, a tap may miss.

    Parameters
    ----------
    where : str
        JavaScript function that gives its place on the screen, None while it is not drawn.
    which : str or int
        The point, passed to `where`.
    answered : callable
        Whether the tap has had its effect.
    """

    def tapped():
        at = page.evaluate(where, which)
        if at is not None and np.isfinite(at).all():
            page.mouse.click(*at)
            page.wait_for_timeout(1500)
        return answered()

    wait_until(page, tapped)


def messages(page):
    """The errors and remarks on show; the empty states are none of them."""
    return [text for text in page.get_by_role("alert").all_inner_texts() if text and "Press" not in text]


def wait_until(page, condition):
    from panel.tests.util import wait_until

    wait_until(condition, page, timeout=60_000)


def choose(page, label, option):
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("menuitem", name=option).click()


def upload(page, path):
    page.locator("input[type=file]").first.set_input_files(path)


def accept(page):
    """Open what the dialog shows."""
    page.get_by_role("dialog").get_by_role("button", name="Open", exact=True).click()


class Faults:
    """What must not happen in a page: requests to other hosts, and errors."""

    def __init__(self, page):
        self.outside, self.errors = [], []
        page.on("request", self._look_at)
        page.on("websocket", self._look_at)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)

    def _look_at(self, request):
        url = urlsplit(request.url)
        if url.scheme not in ("data", "blob") and url.hostname not in ("localhost", "127.0.0.1"):
            self.outside.append(request.url)

    def assert_none(self):
        assert not self.outside, f"requests to other hosts: {self.outside}"
        assert not self.errors, f"errors in the page: {self.errors}"


def stop_all_servers():
    from panel.io.state import state

    state.reset()
