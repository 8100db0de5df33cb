"""What a user meets who may not read a file."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_NOBODY = 65534


@contextlib.contextmanager
def not_allowed_to_read(path: Path) -> Iterator[None]:
    """This process without the right to read a file, also where root's process, whom no mode stops, is another user."""
    mode, user = path.stat().st_mode, os.geteuid()
    path.chmod(0)
    try:
        if user == 0:
            os.seteuid(_NOBODY)
        yield
    finally:
        os.seteuid(user)
        path.chmod(mode)
