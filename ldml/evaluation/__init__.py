"""How good a model is: errors (`metrics`), and errors against the share held out (`splits`)."""
