"""An update costs what it changes, not what the page holds.

Panel marks the data of each component with the page it belongs to, to clean up after it. Panel 1.9.4 looks for data to mark through
all that a component contains, with each of its updates: a container such as the page itself walks through thousands of models
(0.1 s) for one flag. A component marks its own data when it is made, so the search may stay with the data of one component.
"""

from __future__ import annotations

from bokeh.model import DataModel
from bokeh.model.util import visit_immediate_value_references
from panel.reactive import ReactiveCustomBase


def mark_once() -> None:
    """See to it, in this process, that data are marked by their own component only; to call it again does nothing."""
    ReactiveCustomBase._patch_datamodel_ref = staticmethod(mark_own)


def mark_own(data: DataModel, root_id: str) -> None:
    """Mark the data of a component, and the data within them, but not those of the components they hold.

    Parameters
    ----------
    data : DataModel
    root_id : str
        Of the page.
    """
    mark, seen, waiting = f"__ref:{root_id}", {data.id}, [data]

    def meet(model):
        if isinstance(model, DataModel) and model.id not in seen:
            seen.add(model.id)
            waiting.append(model)

    while waiting:
        model = waiting.pop()
        if mark not in model.tags:
            model.tags.append(mark)
        visit_immediate_value_references(model, meet)
