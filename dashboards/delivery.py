"""Changes of the page reach the browser, all of them and in the order in which they were made.

Panel keeps its messages back while the connection is busy, as with a slow network or a slow browser. Two things can then go wrong:

- A figure of Bokeh's that is changed directly sends its own message at once. It overtakes those kept back, and the browser is told
  of models it has not yet received ("reference p1234 isn't known"). Functions that change such figures are `in_order`.
- A message that is added while the ones before it are being written may be forgotten until another one follows
  (panel.io.document of Panel 1.9.4: the end of one task takes away the mark that the next one waits for). `deliver_all` sees to it.
"""

from __future__ import annotations

from functools import wraps

from panel.io import document as panel_document
from panel.io import hold

in_order = hold()
"""Decorator: a function's changes, of Panel's parts and of Bokeh's models alike, are sent together when it returns."""


def deliver_all() -> None:
    """See to it, in this process, that no message is forgotten; to call it again does nothing."""
    write = panel_document._dispatch_msgs
    if getattr(write, "delivers_all", False):
        return

    @wraps(write)
    async def write_all(document):
        await write(document)
        if document in panel_document._WRITE_MSGS and document not in panel_document._WRITE_BLOCK:
            panel_document._WRITE_BLOCK[document] = True
            panel_document._dispatch_write_task(document, write_all, document)

    write_all.delivers_all = True
    panel_document._dispatch_msgs = write_all
