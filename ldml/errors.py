"""The errors a caller can act on: each message names the problem, the value seen and the remedy."""


class InputError(ValueError):
    """Bad input at a public boundary; the command line turns it into one line and exit code 2."""


class StructureError(InputError):
    """A structure that cannot be used: NaN, singular cell, overlapping atoms, unknown element."""


class NotAMinimumError(InputError):
    """A structure whose Hessian has negative eigenvalues: a saddle, not a minimum.

    Attributes
    ----------
    n_imaginary : int
        Number of imaginary modes found (a lower bound when ``None`` could be counted).
    lowest_frequency : float
        Lowest frequency in THz, negative for an imaginary mode.
    """

    def __init__(self, message: str, *, n_imaginary: int, lowest_frequency: float):
        super().__init__(message)
        self.n_imaginary = n_imaginary
        self.lowest_frequency = lowest_frequency

    def __reduce__(self):
        # keyword-only arguments are lost by the default protocol when a worker process raises this
        return (_rebuild_not_a_minimum, (str(self), self.n_imaginary, self.lowest_frequency))


def _rebuild_not_a_minimum(message, n_imaginary, lowest_frequency):
    return NotAMinimumError(message, n_imaginary=n_imaginary, lowest_frequency=lowest_frequency)


class UnrelaxedError(InputError):
    """A structure whose forces are too large for a harmonic expansion.

    Attributes
    ----------
    max_force : float
        Largest force norm on an atom, eV/Å.
    """

    def __init__(self, message: str, max_force: float = float("nan")):
        super().__init__(message)
        self.max_force = max_force

    def __reduce__(self):
        return (UnrelaxedError, (str(self), self.max_force))


class ConvergenceError(RuntimeError):
    """An iteration that did not reach its tolerance within its budget."""


class Cancelled(Exception):
    """Raised by a progress reporter's ``check`` when the user has asked to stop."""
