"""What is imported and begun in the background."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mlguide_assets.defs.preload import preload


def test_what_comes_then_begins_after_the_imports() -> None:
    begun = threading.Event()
    preload(("json",), then=begun.set)
    assert begun.wait(30)


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_fails_there_is_left_to_where_it_is_needed() -> None:
    tried = threading.Event()

    def fails() -> None:
        tried.set()
        raise OSError("no space left")

    preload((), then=fails)
    assert tried.wait(30)
    never = threading.Event()
    preload(("mlguide_assets.no_such_module",), then=never.set)
    assert not never.wait(0.5)


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_import_that_fails_otherwise_is_left_to_where_it_is_needed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disturbed.py").write_text("raise SystemError('AST constructor recursion depth mismatch')")
    monkeypatch.syspath_prepend(tmp_path)
    never = threading.Event()
    preload(("disturbed",), then=never.set)
    assert not never.wait(0.5)


def test_what_dagsters_storage_uses_meanwhile_is_imported_before() -> None:
    """Half of sqlalchemy.orm, imported by another thread, made SQLAlchemy fail in this one."""
    begun = "from mlguide_assets.defs.preload import preload; preload(())"
    code = f"import sys; {begun}; print('sqlalchemy.orm' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "True\n"
