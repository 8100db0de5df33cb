"""What goes wrong while a source's file is written is said of that, and what goes wrong otherwise as it is."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.sources.changed_files import refusing_changed_files


def replaced(path: Path) -> None:
    new = path.with_name("new")
    new.write_text(path.read_text())
    new.replace(path)


@pytest.mark.parametrize("error", [duckdb.IOException("gone"), InputError("line 7 has 2 values"), OSError("gone")])
@pytest.mark.parametrize("change", [lambda path: path.write_text("more"), Path.unlink, replaced])
def test_a_file_that_was_changed_is_named(tmp_path: Path, change: Callable[[Path], None], error: Exception) -> None:
    path = tmp_path / "sends.csv"
    path.write_text("a,b\n")

    def read() -> None:
        change(path)
        raise error

    with pytest.raises(InputError, match=r"sends\.csv was changed while it"), refusing_changed_files(lambda: [path]):
        read()


def test_a_machine_without_memory_is_no_fault_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "sends.csv"
    path.write_text("a,b\n")

    def read() -> None:
        path.write_text("more")
        raise MemoryError

    with pytest.raises(MemoryError), refusing_changed_files(lambda: [path]):
        read()


def test_all_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "sends.csv"
    path.write_text("a,b\n")
    with pytest.raises(InputError, match="line 7"), refusing_changed_files(lambda: [path, tmp_path / "none"]):
        raise InputError("line 7 has 2 values")
    with refusing_changed_files(lambda: [path]):
        path.write_text("a,b\n1,2\n")
