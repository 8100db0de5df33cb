"""An experiment in a file of anyone's: ids that are the same unit are read as one."""

from pathlib import Path

import pytest

from mlguide_assets.experiment.reading import ExperimentFile, MetricOption, read_experiment
from mlguide_assets.prepare.engine import connect


@pytest.mark.parametrize("blank", [" ", "\t", "\u000b"])
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_blanks_around_an_id_are_no_part_of_it(blank: str, before: bool, tmp_path: Path) -> None:
    other = f"{blank}7" if before else f"7{blank}"
    (tmp_path / "data.csv").write_text(f"unit,arm,m\n7,a,1\n{other},b,0\nNULL{blank},b,1\na b,a,1\n")
    file = ExperimentFile(tmp_path / "data.csv", "unit", "arm", "a", (MetricOption("m"),))
    (tmp_path / "scratch").mkdir()
    rows, _ = read_experiment(file, connect(), tmp_path / "scratch")
    assert rows.unit.to_pyarrow().to_pylist() == ["7", "7", None, "a b"]
