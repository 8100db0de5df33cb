"""`mlguide experiment analyse` on anyone's file: the same answer as text and JSON, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from mlguide_assets.cli import app
from mlguide_assets.console.analyse import guardrail_option, metric_option
from mlguide_assets.experiment.analysis.reading import GuardrailOption, MetricOption

UNITS = 4000
PAID = {"old": 0.05, "new": 0.08}


def visits() -> pd.DataFrame:
    """An experiment with one row per unit, values written as people write them."""
    unit = np.arange(UNITS)
    group = np.where(unit % 2, "new", "old")
    paid = (unit // 2) % 100 < np.where(group == "new", 8, 5)
    return pd.DataFrame(
        {
            "customer": [f"c{number}" for number in unit],
            "group": group,
            "paid": np.where(paid, "Yes", "no"),
            "spent": np.where(paid, 12.5, 0.0) + unit % 3,
            "earlier": np.where(unit % 7, unit % 11, np.nan),
            "slow": (unit // 2) % 50 == 0,
            "note": "x",
            "nothing": None,
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("visits")
    rows = visits()
    rows.to_csv(folder / "visits.csv", index=False)
    rows.to_parquet(folder / "visits.parquet")
    lost = rows[(rows["group"] == "old") | (rows["customer"].str[-1] != "1")]
    lost.to_csv(folder / "lost.csv", index=False)
    rows.assign(paid=None).to_csv(folder / "unpaid.csv", index=False)
    return folder


def run(data: Path, *options: str, **columns: str) -> tuple[int, str, str]:
    """Exit code, standard output, and the last line of standard error."""
    named = {"unit": "customer", "variant": "group", "control": "old", "metric": "paid"} | columns
    arguments = [text for name, column in named.items() for text in (f"--{name}", column)]
    command = ["experiment", "analyse", "--data", str(data), *arguments, *options]
    done = CliRunner().invoke(app, command, env={"COLUMNS": "160"})
    return done.exit_code, done.stdout, (done.stderr.splitlines() or [""])[-1]


@pytest.mark.parametrize("name", ["visits.csv", "visits.parquet"])
def test_a_file_is_analysed_as_the_contract_has_it(folder: Path, name: str) -> None:
    options = ["--metric", "spent:mean", "--guardrail", "slow:0.02:absolute:lower", "--segment", "note", "--json"]
    code, out, said = run(folder / name, *options, metric="paid")
    assert code == 0, said
    found: Any = json.loads(out)
    assert found["units"] == {"old": 2000, "new": 2000}
    assert {each["check"] for each in found["health"]} >= {"sample_ratio", "sample_ratio:note", "mixed_exposure"}
    paid, spent, slow = found["results"]
    assert (paid["metric"], paid["control"], paid["treatment"]) == ("paid", PAID["old"], PAID["new"])
    assert paid["p"] < 0.001
    assert spent["difference"]["value"] == pytest.approx(12.5 * 0.03, abs=0.01)
    assert slow["difference"]["low"] < 0 < slow["difference"]["high"] < 0.02
    assert (found["healthy"], found["verdict"]) == (True, "ship")


def test_the_tables_say_what_decided(folder: Path) -> None:
    _, out, _ = run(folder / "visits.csv", "--covariate", "earlier", "--guardrail", "slow:50%:lower")
    assert "+60.0% (" in out
    assert "+3 pp (" in out
    assert "guardrail" in out
    assert "Ship 'new'. 'new': paid is 60.0% higher than in 'old' (95 % CI +" in out
    assert "is adjusted for earlier: CUPED took out" in out


def test_withheld_numbers_are_not_shown_anywhere(folder: Path) -> None:
    code, out, _ = run(folder / "lost.csv")
    assert code == 0
    assert "Unhealthy: no verdict. The numbers are withheld" in out
    assert "sample_ratio" in out
    assert "paid in new" not in out
    code, out, _ = run(folder / "lost.csv", "--json")
    assert (json.loads(out)["results"], json.loads(out)["verdict"]) == ([], "unhealthy")


def test_the_planned_ratio_is_the_users(folder: Path) -> None:
    _, out, _ = run(folder / "visits.csv", "--ratio", "3:1", "--json")
    assert json.loads(out)["verdict"] == "unhealthy"
    assert "'new' has 50.00% of 4,000 units, 25.00% were planned (" in json.loads(out)["reason"]
    _, out, _ = run(folder / "lost.csv", "--json")
    assert "50.00% are an equal share (" in json.loads(out)["reason"]
    _, out, _ = run(folder / "lost.csv")
    assert "Equal shares are expected unless --ratio says what was planned." in out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("paid", MetricOption("paid")),
        ("paid:binary:lower", MetricOption("paid", "binary", "lower")),
        ("a:b:mean", MetricOption("a:b", "mean")),
        ("a:absolute", MetricOption("a:absolute")),
    ],
)
def test_metrics_as_they_are_written(text: str, expected: MetricOption) -> None:
    assert metric_option(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("slow:0.02", GuardrailOption("slow", 0.02, relative=True)),
        ("slow:0.02:absolute", GuardrailOption("slow", 0.02, relative=False)),
        ("x:absolute_err:0.05", GuardrailOption("x:absolute_err", 0.05, relative=True)),
        ("x:absolute:0.05:absolute:lower", GuardrailOption("x:absolute", 0.05, relative=False, better="lower")),
        ("slow:5%:mean:higher", GuardrailOption("slow", 0.05, relative=True, kind="mean", better="higher")),
    ],
)
def test_guardrails_as_they_are_written(text: str, expected: GuardrailOption) -> None:
    assert guardrail_option(text) == expected


@pytest.mark.parametrize(
    ("options", "columns", "sentence"),
    [
        ([], {"metric": "payd"}, "has no column 'payd'; did you mean 'paid'?"),
        ([], {"control": "odl"}, "has no variant 'odl'; did you mean 'old'?"),
        ([], {"variant": "note", "control": "x"}, "has only the control 'x'"),
        ([], {"metric": "note"}, "holds 'x' there, which is not a number"),
        ([], {"metric": "spent:binary"}, "holds other values than 0 and 1"),
        ([], {"metric": "earlier"}, "'earlier' has no value in 572 rows"),
        ([], {"metric": "group"}, "is the unit, the variant or a segment"),
        (["--alpha", "2"], {}, "alpha must be above 0 and below 0.5"),
        (["--ratio", "1:1:1"], {}, "--ratio has 3 shares, but"),
        (["--ratio", "1:0"], {}, "--ratio needs shares above 0"),
        (["--ratio", "even"], {}, "write one share for each variant"),
        (["--guardrail", "slow"], {}, "write the column and the margin"),
        (["--guardrail", "slow:0"], {}, "must be above 0, not 0"),
        (["--guardrail", "slow:2%:absolute"], {}, "write the column and the margin"),
        (["--guardrail", "spent:5:higher"], {}, "write a smaller share, such as spent:5%:higher."),
        (["--guardrail", "spent:100%"], {}, "write a smaller share, such as spent:1%."),
        (["--covariate", "earlier", "--covariate", "earlier"], {}, "'earlier' is named twice"),
        ([], {"unit": "group"}, "'group' is named twice among unit, variant and segments"),
        (["--covariate", "paid"], {}, "cannot be an outcome and a covariate"),
        (["--trigger", "paid"], {}, "--trigger paid: that column is an outcome"),
        (["--guardrail", "slow:0.1", "--trigger", "slow"], {}, "--trigger slow: that column is an outcome"),
        (["--trigger", ""], {}, "--trigger : "),
        (["--ratio", ""], {}, "write one share for each variant"),
        ([], {"variant": "nothing"}, "'nothing' is empty in 4,000 rows: every row needs its variant"),
    ],
)
def test_bad_input_gets_one_sentence(folder: Path, options: list[str], columns: dict[str, str], sentence: str) -> None:
    code, out, said = run(folder / "visits.csv", *options, **columns)
    assert (code, out) == (2, "")
    assert sentence in said


def test_files_that_cannot_be_read_get_one_sentence(folder: Path) -> None:
    for name, sentence in [("none.csv", "does not exist"), ("unpaid.csv", "'paid' has no value in 4,000 rows")]:
        code, _, said = run(folder / name)
        assert code == 2
        assert sentence in said


def test_units_that_the_variants_treat_differently_are_analysed_alone_as_well(folder: Path) -> None:
    data = visits().assign(apart=lambda rows: np.where(rows.index // 2 % 100 < 20, "yes", "no"))
    data.to_csv(folder / "apart.csv", index=False)
    code, out, said = run(folder / "apart.csv", "--trigger", "apart", "--json")
    assert code == 0, said
    found: Any = json.loads(out)
    assert found["units"] == {"old": 2000, "new": 2000}
    assert found["triggered"]["units"] == {"old": 400, "new": 400}
    (paid,) = found["triggered"]["results"]
    assert (paid["control"], paid["treatment"]) == (0.25, 0.4)
    assert found["triggered"]["verdict"] == found["verdict"] == "ship"
    _, out, _ = run(folder / "apart.csv", "--trigger", "apart")
    assert "Triggered: 800 of 4,000 units" in out
    assert "40.000%" in out
    assert "triggered" not in json.loads(run(folder / "apart.csv", "--json")[1])


def test_a_trigger_that_differs_between_the_variants_has_no_numbers(folder: Path) -> None:
    data = visits().assign(apart=lambda rows: ((rows.index // 2 % 100 < 20) & (rows["group"] == "new")).astype(int))
    data.loc[data.index % 40 == 0, "apart"] = 1
    data.to_csv(folder / "one_sided.csv", index=False)
    found: Any = json.loads(run(folder / "one_sided.csv", "--trigger", "apart", "--json")[1])
    assert (found["verdict"], found["triggered"]["verdict"], found["triggered"]["results"]) == ("ship", "unhealthy", [])
    assert "Their numbers are withheld" in run(folder / "one_sided.csv", "--trigger", "apart")[1]


def test_a_trigger_must_be_yes_or_no(folder: Path) -> None:
    code, _, said = run(folder / "visits.csv", "--trigger", "spent")
    assert (code, "neither 0 nor 1" in said) == (2, True)
    code, _, said = run(folder / "visits.csv", "--trigger", "absent")
    assert (code, "absent" in said) == (2, True)


def test_a_text_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    groups = pa.array([b"caf\xe9" if name == "new" else b"old" for name in visits()["group"]])
    rows = pa.Table.from_pandas(visits())
    pq.write_table(rows.set_column(rows.column_names.index("group"), "group", groups), tmp_path / "v.parquet")
    code, _, error = run(tmp_path / "v.parquet")
    assert (code, "v.parquet, row 2: the text in 'group' is not UTF-8" in error) == (2, True)


def test_bytes_are_no_ids(tmp_path: Path) -> None:
    ids = pa.array([b"\xff" * 12 + number.to_bytes(4, "big") for number in range(UNITS)], pa.binary(16))
    rows = pa.Table.from_pandas(visits().drop(columns="customer")).add_column(0, "customer", ids)
    pq.write_table(rows, tmp_path / "v.parquet")
    code, _, error = run(tmp_path / "v.parquet")
    assert (code, "v.parquet, row 1: 'customer' holds bytes that are no text" in error) == (2, True)


def test_a_variant_with_a_nul_is_one_like_any_other(folder: Path, tmp_path: Path) -> None:
    rows = visits()
    rows.assign(group=rows["group"].where(rows["group"] == "old", "new\0")).to_csv(tmp_path / "v.csv", index=False)
    code, out, said = run(tmp_path / "v.csv", "--json")
    assert code == 0, said
    assert json.loads(out)["units"] == {"old": 2000, "new\0": 2000}


def test_a_damaged_file_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "v.parquet").mkdir()
    part = tmp_path / "v.parquet" / "part-0.parquet"
    pq.write_table(pq.read_table(folder / "visits.parquet"), part, compression="zstd")
    content = bytearray(part.read_bytes())
    content[100:4000] = b"\xff" * 3900
    part.write_bytes(content)
    code, _, error = run(tmp_path / "v.parquet")
    assert (code, "part-0.parquet is damaged: some of its rows cannot be read" in error) == (2, True)
