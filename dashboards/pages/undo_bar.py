"""What was just done and a button that takes it back, in one line above the pages."""

from __future__ import annotations

import panel as pn
import panel_material_ui as pmui

from dashboards.plain_text import plain
from dashboards.state import AppState


def undo_bar(state: AppState) -> pn.Row:
    """A line that shows while ``state.last_step`` can be taken back."""
    said = pmui.Typography("", variant="body2", margin=(6, 4, 2, 14))
    undo = pmui.Button(label="Undo", variant="text", size="small", margin=(2, 0))
    dismiss = pmui.Button(label="Dismiss", variant="text", color="default", size="small", margin=(2, 0))
    bar = pn.Row(said, undo, dismiss, margin=0, visible=False)

    def show(step):
        if step is not None:
            said.object = plain(f"{step.said}.")
        bar.visible = step is not None

    state.param.watch(lambda event: show(event.new), "last_step")
    undo.on_click(lambda event: state.undo())
    dismiss.on_click(lambda event: setattr(state, "last_step", None))
    return bar
