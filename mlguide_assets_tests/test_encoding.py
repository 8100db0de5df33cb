"""Files are UTF-8 whatever the locale: no file is opened as text without saying so."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mlguide_assets
from mlguide_assets.console.environment import enter
from mlguide_assets.settings import Home

TEXT = {"open", "fdopen", "read_text", "write_text"}


def test_every_text_file_names_its_encoding() -> None:
    root = Path(mlguide_assets.__file__).parent
    unnamed = [
        f"{path.relative_to(root)}:{call.lineno}"
        for path in root.rglob("*.py")
        if any(name in (source := path.read_text(encoding="utf-8")) for name in TEXT)
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call) and _opens_text_unnamed(call)
    ]
    assert not unnamed


def _opens_text_unnamed(call: ast.Call) -> bool:
    # What waits at most so long opens an address.
    if {"encoding", "timeout"} & {each.arg for each in call.keywords}:
        return False
    name = getattr(call.func, "attr", getattr(call.func, "id", None))
    modes = [each.value for each in ast.walk(call) if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    below = getattr(getattr(call.func, "value", None), "id", None)
    if name not in TEXT or (below in ("os", "Image", "lake") and name == "open"):
        return False
    return name in ("read_text", "write_text") or not any("b" in mode and len(mode) <= 3 for mode in modes)


def test_so_do_the_processes_of_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {name: value for name, value in os.environ.items() if name != "PYTHONUTF8"}
    monkeypatch.setattr("os.environ", given)
    enter(Home(tmp_path))
    started = subprocess.run(
        [sys.executable, "-c", "print(open(0).encoding)"], env={**given, "LC_ALL": "C"}, capture_output=True, check=True
    )
    assert started.stdout.strip().lower() == b"utf-8"
