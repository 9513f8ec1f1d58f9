"""Stages for the tests of the engine; a module of their own, so that worker processes can import it."""

import os
import time
from pathlib import Path

import numpy as np

from ldml.campaign import stage
from ldml.errors import ConvergenceError


@stage("square", version=1)
def square(parameters, inputs):
    """x², or the sum of the inputs squared; notes in `log` that it was done."""
    time.sleep(parameters.get("seconds", 0.0))
    if "log" in parameters:
        with Path(parameters["log"]).open("a") as file:
            file.write(f"{parameters['x']}\n")
    x = parameters["x"] + sum(float(given["y"]) for given in inputs)
    return {"y": np.array(float(x) ** 2)}


@stage("stubborn", version=1)
def stubborn(parameters, inputs):
    """A calculation that does not converge."""
    raise ConvergenceError("no minimum within 3 steps; allow more")


@stage("buggy", version=1)
def buggy(parameters, inputs):
    """A mistake in the code."""
    return {"y": np.array(1 / parameters["x"])}


@stage("deadly", version=1)
def deadly(parameters, inputs):
    """Ends its worker, unless a file says that it may live."""
    if not Path(parameters["spared"]).exists():
        time.sleep(0.2)
        os._exit(9)
    return {"y": np.array(1.0)}
