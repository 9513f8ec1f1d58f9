"""An update costs what it changes, not what the page holds.

Panel marks the data of each component with the page it belongs to, to clean up after it. Panel 1.9.4 looks for data to mark
through all that a component contains, with each of its updates: a container such as the page itself walks through thousands of
models (0.1 s) for one flag. Whatever is inside was marked when it was made, so the search may stop at what has its mark.
"""

from __future__ import annotations

from bokeh.model import DataModel, Model
from bokeh.model.util import visit_immediate_value_references
from panel.reactive import ReactiveCustomBase


def mark_once() -> None:
    """See to it, in this process, that what has been marked is not searched again; to call it again does nothing."""
    ReactiveCustomBase._patch_datamodel_ref = staticmethod(mark_new)


def mark_new(data: DataModel, root_id: str) -> None:
    """Mark the data of a component, and what they refer to, up to data that have been marked.

    Parameters
    ----------
    data : DataModel
        What they refer to directly is looked at even if they are marked: it may be new.
    root_id : str
        Of the page.
    """
    mark, seen, waiting = f"__ref:{root_id}", {data.id}, [data]

    def meet(model):
        if isinstance(model, Model) and model.id not in seen:
            seen.add(model.id)
            if not (isinstance(model, DataModel) and mark in model.tags):
                waiting.append(model)

    while waiting:
        model = waiting.pop()
        if isinstance(model, DataModel) and mark not in model.tags:
            model.tags.append(mark)
        visit_immediate_value_references(model, meet)
