"""What a campaign is made of: tasks, each a stage of the work with its parameters, named by their content.

    key = sha256(stage, version of the stage, parameters, keys of the inputs)

The key says how a result came about, down to the structures it began with, so that a result found under it need not be
computed again, and a changed potential, parameter or version never meets the results of the old one.
"""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from time import process_time

import numpy as np
from ase import Atoms

from ldml.errors import ConvergenceError, InputError

Result = dict[str, np.ndarray]
"""What a task brings: arrays and plain numbers by name; ``failure``, ``message`` and ``is_final`` where it brought nothing."""

StageFunction = Callable[[Mapping, Sequence[Result]], Result]


@dataclass(frozen=True)
class Stage:
    """A kind of work; a change of what it computes is a new version."""

    name: str
    version: int
    function: StageFunction


STAGES: dict[str, Stage] = {}


def stage(name: str, *, version: int) -> Callable[[StageFunction], StageFunction]:
    """Register a function (parameters, results of the inputs) -> result as the stage of this name."""

    def register(function):
        STAGES[name] = Stage(name, version, function)
        return function

    return register


@dataclass(frozen=True, eq=False)
class Task:
    """One piece of work.

    Attributes
    ----------
    stage : str
    parameters : mapping
        Of plain JSON types; whatever the result depends on.
    inputs : tuple of Task
        Whose results it takes.
    """

    stage: str
    parameters: Mapping
    inputs: tuple[Task, ...] = ()

    @cached_property
    def key(self) -> str:
        """Name of the result."""
        content = [self.stage, STAGES[self.stage].version, self.parameters, [task.key for task in self.inputs]]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def root(self) -> Task:
        """The task at the beginning of the chain of first inputs."""
        return self.inputs[0].root if self.inputs else self

    @property
    def record(self) -> dict:
        """What is kept beside a result to tell where it came from."""
        return {
            "stage": self.stage,
            "version": STAGES[self.stage].version,
            "parameters": dict(self.parameters),
            "inputs": [task.key for task in self.inputs],
        }


class VersionError(InputError):
    """A worker whose ldml, or whose potential, is not the one the campaign was planned with: no result of it is kept."""


def carry_out(stage: Stage, parameters: Mapping, inputs: Sequence[Result]) -> tuple[Result, float]:
    """Do the work of a task; a failure is a result, too.

    Returns
    -------
    result : Result
    seconds : float
        Of processor time.

    Raises
    ------
    VersionError
        If the work would not be what the key of the task says.
    """
    here = STAGES.get(stage.name, stage)
    if here.version != stage.version:
        raise VersionError(
            f"a worker has version {here.version} of the stage {stage.name!r} where the campaign has {stage.version}; "
            f"install the same version of ldml everywhere"
        )
    begun = process_time()
    try:
        result = stage.function(parameters, inputs)
    except VersionError:
        raise
    except (ConvergenceError, InputError) as error:
        result = failure(type(error).__name__, str(error), is_final=True)
    except Exception as error:  # a campaign of thousands must not end with one of them
        result = failure(type(error).__name__, traceback.format_exc(limit=-3), is_final=False)
    return result, process_time() - begun


def failure(kind: str, message: str, *, is_final: bool) -> Result:
    """The result of a task that brought none; final if it would come about again."""
    return {"failure": np.array(kind), "message": np.array(message), "is_final": np.array(is_final)}


def has_failed(result: Result) -> bool:
    return "failure" in result


def atoms_of(result: Result) -> Atoms:
    """The structure of a result that holds one."""
    return Atoms(result["numbers"], positions=result["positions"], cell=result["cell"], pbc=result.get("pbc", True))
