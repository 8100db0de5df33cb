"""An experiment in a file of anyone's: ids that are the same unit are read as one."""

from pathlib import Path

import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.experiment.analysis.reading import ExperimentFile, MetricOption, read_experiment
from mlguide_assets.prepare.duckdb.connection import connect


@pytest.mark.parametrize("blank", [" ", "\t", "\u000b", "\u00a0", "\u200b"])
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_blanks_around_an_id_are_no_part_of_it(blank: str, before: bool, tmp_path: Path) -> None:
    other = f"{blank}7" if before else f"7{blank}"
    (tmp_path / "data.csv").write_text(f"unit,arm,m\n7,a,1\n{other},b,0\nNULL{blank},b,1\na b,a,1\n")
    file = ExperimentFile(tmp_path / "data.csv", "unit", "arm", "a", (MetricOption("m"),))
    (tmp_path / "scratch").mkdir()
    rows, _ = read_experiment(file, connect(), tmp_path / "scratch")
    assert rows.unit.to_pyarrow().to_pylist() == ["7", "7", None, "a b"]


@pytest.mark.parametrize("both", [True, False])
def test_a_unit_that_is_a_fraction_in_some_rows_is_refused(both: bool, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text(f"unit,arm,m\n7.0,a,1\n8.0,b,0\n{'7' if both else '9.0'},b,1\n")
    file = ExperimentFile(tmp_path / "data.csv", "unit", "arm", "a", (MetricOption("m"),))
    (tmp_path / "scratch").mkdir()
    if both:
        with pytest.raises(InputError, match=r"has the units '7' and '7.0', which count as two: write them alike"):
            read_experiment(file, connect(), tmp_path / "scratch")
    else:
        read_experiment(file, connect(), tmp_path / "scratch")


def test_a_variant_that_is_called_none_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("unit,arm,m\n1,None,1\n2,discount,0\n")
    file = ExperimentFile(tmp_path / "data.csv", "unit", "arm", "None", (MetricOption("m"),))
    (tmp_path / "scratch").mkdir()
    with pytest.raises(InputError, match=r"--variant arm: 1 row of .* has 'None' there, which is read as no value"):
        read_experiment(file, connect(), tmp_path / "scratch")


def test_a_european_file_is_read_as_one_with_points(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("unit;arm;m\n1;a;0,25\n2;b;1.000,5\n")
    file = ExperimentFile(tmp_path / "data.csv", "unit", "arm", "a", (MetricOption("m"),), decimal_comma=True)
    (tmp_path / "scratch").mkdir()
    rows, design = read_experiment(file, connect(), tmp_path / "scratch")
    assert sorted(rows.m.to_pyarrow().to_pylist()) == [0.25, 1000.5]
    assert design.metrics[0].kind == "mean"
