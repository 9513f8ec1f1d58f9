"""Messages to the browser: none is forgotten, and figures changed directly keep their place among them."""

import asyncio

import pytest

pytest.importorskip("panel")

from bokeh.document import Document
from bokeh.models import ColumnDataSource
from panel.io import document as panel_document

from dashboards.delivery import deliver_all


class Connection:
    """A connection that writes each message in three parts and takes its time."""

    def __init__(self):
        from bokeh.protocol import Protocol

        self.protocol, self._socket, self.sent = Protocol(), self, []

    async def send(self, text_data):
        await asyncio.sleep(0)
        self.sent.append(text_data)


async def _change(document, connection, source, value):
    event = []
    document.callbacks.on_change(event.append)
    source.data = {"x": [value]}
    document.callbacks.remove_on_change(event.append)
    panel_document.schedule_write_events(document, [connection], event[-1:])


@pytest.mark.parametrize("pause", range(12))
def test_a_message_added_while_others_are_written_arrives(pause):
    """At whichever step of the writing it is added."""
    deliver_all()

    async def page():
        document, connection, source = Document(), Connection(), ColumnDataSource({"x": [0]})
        document.add_root(source)
        await _change(document, connection, source, 1)
        for _ in range(pause):
            await asyncio.sleep(0)
        await _change(document, connection, source, 2)
        for _ in range(100):
            await asyncio.sleep(0)
        return [text for text in connection.sent if '"events"' in text]

    written = asyncio.run(page())
    assert ["[1]" in text for text in written] == [True, False]
    assert "[2]" in written[-1]
