"""Results in, Bokeh figures out; no widgets, so that notebooks can use them too."""
