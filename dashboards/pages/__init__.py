"""The tabs of the dashboard, one class a page: ``Page(session).view()``."""
