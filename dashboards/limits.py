"""What a server allows its visitors, from the environment: ``ldml serve`` sets these variables from its options.

LDML_APP_WORKERS        jobs that run at once
LDML_APP_JOBS_PER_SESSION   jobs of one visitor, running or waiting
LDML_APP_MAX_ATOMS      atoms of a structure whose exact entropy is computed; 0 for as many as memory holds
LDML_APP_UPLOAD_MB      largest file taken
"""

from __future__ import annotations

import os

from ldml.errors import InputError

DEFAULTS = {"LDML_APP_WORKERS": 1, "LDML_APP_JOBS_PER_SESSION": 8, "LDML_APP_MAX_ATOMS": 0, "LDML_APP_UPLOAD_MB": 500}


def limit(name: str) -> int:
    """The limit of a name in `DEFAULTS`.

    Raises
    ------
    InputError
        If the environment holds something else than a whole number.
    """
    text = os.environ.get(name, "")
    if not text:
        return DEFAULTS[name]
    if not text.isdecimal() or (int(text) == 0 and DEFAULTS[name] > 0):
        raise InputError(f"the environment variable {name} is {text!r}; it must be a whole number above 0, or unset")
    return int(text)
