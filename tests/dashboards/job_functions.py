"""What the job tests run in worker processes, which import it by name."""

import os
import time


def count(progress, n, seconds=0.0):
    """Count to n, reporting each step; the sum of what was counted."""
    total = 0
    for k in range(n):
        progress.check()
        progress.update(k, n, f"step {k}")
        time.sleep(seconds)
        total += k
    return total


def fail(progress, message):
    """Raise an error of the library that carries a number."""
    from ldml.errors import UnrelaxedError

    raise UnrelaxedError(message, 0.25)


def die(progress):
    """End the worker as the kernel does when memory runs out."""
    os.kill(os.getpid(), 9)


def niceness(progress):
    """Of the worker: the higher, the more it gives way."""
    return os.nice(0)


def wait_for(progress, path):
    """Wait until a file appears, without ever checking for the wish to cancel."""
    while not os.path.exists(path):
        time.sleep(0.01)
    return "seen"


def write(progress, path, word):
    """Append a word to a file."""
    with open(path, "a") as file:
        file.write(f"{word} ")


def tell_process(progress, path):
    """Write the number of the worker process to a file."""
    write(progress, path, os.getpid())
