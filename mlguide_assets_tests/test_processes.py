"""The processes that tests start for themselves."""

import os
from typing import Any

import pytest

from mlguide_assets_tests.processes import PROCESSES


def tell(found: Any) -> None:
    found.put(os.environ.get("MLGUIDE_OF_A_TEST"))


def test_each_finds_the_environment_of_its_own_test(monkeypatch: pytest.MonkeyPatch) -> None:
    found = PROCESSES.Queue()
    for value in ("first", "second"):
        monkeypatch.setenv("MLGUIDE_OF_A_TEST", value)
        process = PROCESSES.Process(target=tell, args=(found,))
        process.start()
        assert found.get(timeout=60) == value
        process.join()
