"""The problem files of a home, where hosts share them: without passwords, which stay where they were given."""

import contextlib
from collections.abc import Iterable
from pathlib import Path

from mlguide_assets.define.loading import dump_problem, parse_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.files import replace_file
from mlguide_assets.prepare.hosts.shared_files import names, read, replace, shared_bucket
from mlguide_assets.settings import Home


def publish_problems(home: Home, problems: Iterable[Problem], active: Problem) -> None:
    """Let all hosts see the problems of a home, and which of them the next command works on."""
    if shared_bucket() is None:
        return
    for problem in problems:
        replace(home.problems / f"{problem.key}.yaml", dump_problem(problem).encode())
    replace(home.active_problem, dump_problem(active).encode())


def fetch_problems(home: Home) -> None:
    """Bring into the home what other hosts have published.

    Raises:
        InputError: the store does not answer.
    """
    if shared_bucket() is None:
        return
    for path in (*(home.problems / name for name in names(home.problems)), home.active_problem):
        content = read(path)
        if content is not None and content != _published(path):
            replace_file(path, content, mode=0o600)


def _published(path: Path) -> bytes | None:
    """What this host would publish of a problem of its home, which may have a password; nothing of a broken file."""
    if not path.is_file():
        return None
    with contextlib.suppress(InputError):
        return dump_problem(parse_problem(path.read_bytes(), path)).encode()
    return None
