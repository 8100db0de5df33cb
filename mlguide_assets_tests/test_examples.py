"""The examples in docstrings give what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

import mlguide_assets

ROOT = Path(mlguide_assets.__file__).parent
MODULES = sorted(
    ".".join(("mlguide_assets", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for path in ROOT.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_hold(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted
    assert found.failed == 0
