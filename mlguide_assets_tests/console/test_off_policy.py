"""`mlguide experiment off-policy` on anyone's file: the answer as text and JSON, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from mlguide_assets.cli import app
from mlguide_assets_tests.experiment.logs import RATES, logged

WORLD = logged(3, units=1000)
NAMES = np.array(["call", "mail", "wait"])


def log_table() -> pa.Table:
    log, decisions = WORLD.log, WORLD.decisions
    return pa.table(
        {
            "customer": log.units,
            "kind": NAMES[decisions.context.values[:, 0].astype(int) % 3],
            "act": NAMES[decisions.actions],
            "code": decisions.actions,
            "gain": log.rewards.astype(int),
            "p": log.propensities,
            "chosen": NAMES[WORLD.chosen],
            "chosen_code": WORLD.chosen.astype(float),
            "chance": log.target * 0.9 + 0.05,
            "sure": log.target,
            "flag": log.target.astype(int),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logs")
    pa.csv.write_csv(log_table(), folder / "log.csv")
    pq.write_table(log_table(), folder / "log.parquet")
    return folder


def run(data: Path, *options: str, **columns: str) -> tuple[int, str, str]:
    """Exit code, standard output, and the last line of standard error."""
    columns = {"action": "act", "reward": "gain", "propensity": "p"} | columns
    arguments = [text for name, column in columns.items() for text in (f"--{name}", column)]
    command = ["experiment", "off-policy", "--data", str(data), *arguments, *options]
    done = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    return done.exit_code, done.stdout, (done.stderr.splitlines() or [""])[-1]


def answer(data: Path, *options: str, **columns: str) -> Any:
    code, out, said = run(data, "--json", *options, **columns)
    assert code == 0, said
    return json.loads(out)


def test_the_json_is_the_contract(folder: Path) -> None:
    found = answer(folder / "log.csv", "--target-column", "chosen", "--unit", "customer", "--context", "kind")
    assert list(found) == ["estimates", "logged_value", "diagnostics", "supported", "reason"]
    assert list(found["estimates"]) == ["ips", "snips", "dr"]
    for value in found["estimates"].values():
        assert list(value) == ["value", "low", "high"]
        assert value["low"] < WORLD.truth < value["high"]
    measured = ["mean_weight", "effective_sample_size", "max_weight_share", "unsupported_share"]
    assert list(found["diagnostics"]) == measured
    weights = WORLD.log.weights
    assert [found["diagnostics"][name] for name in measured[:3]] == pytest.approx(
        [weights.mean(), weights.sum() ** 2 / (weights**2).sum(), weights.max() / weights.sum()]
    )
    assert found["logged_value"] == WORLD.log.rewards.mean()
    assert found["supported"] is True


def test_csv_and_parquet_are_answered_alike(folder: Path) -> None:
    options = ("--target-column", "chosen", "--context", "kind", "--context", "customer")
    assert answer(folder / "log.csv", *options) == answer(folder / "log.parquet", *options)


def test_a_uniform_target_is_worth_the_mean_over_the_actions(folder: Path) -> None:
    found = answer(folder / "log.csv", "--target", "uniform")["estimates"]
    assert all(value["low"] < RATES.mean() < value["high"] for value in found.values())


def test_numbers_of_actions_are_compared_as_numbers(folder: Path) -> None:
    by_name = answer(folder / "log.csv", "--target-column", "chosen")
    assert answer(folder / "log.parquet", "--target-column", "chosen_code", action="code") == by_name


def test_probabilities_of_the_logged_action_give_no_dr(folder: Path) -> None:
    found = answer(folder / "log.csv", "--target-column", "sure")
    by_name = answer(folder / "log.csv", "--target-column", "chosen")
    assert found["estimates"] == {**by_name["estimates"], "dr": None}
    code, said, _ = run(folder / "log.csv", "--target-column", "chance")
    assert code == 0
    assert "takes the logged action with the probability in 'chance'" in said
    assert "No DR: " in said


def test_the_text_says_what_was_understood_and_what_it_rests_on(folder: Path) -> None:
    code, said, _ = run(folder / "log.csv", "--target-column", "chosen", "--unit", "customer")
    assert code == 0
    for text in (
        "2,000 decisions of 1,000 units, 3 actions",
        "Target: takes the action in 'chosen'",
        "logged policy",
        "target: DR",
        "effective sample size",
        "effective units",
        "Supported: ",
    ):
        assert text in said


def test_a_target_that_was_never_logged_is_refused_with_the_reason(folder: Path, tmp_path: Path) -> None:
    table = log_table()
    table = table.set_column(6, "chosen", pa.array(["fly"] * table.num_rows))
    pq.write_table(table, tmp_path / "log.parquet")
    found = answer(tmp_path / "log.parquet", "--target-column", "chosen")
    assert found["supported"] is False
    assert found["estimates"] == {"ips": None, "snips": None, "dr": None}
    assert found["diagnostics"]["unsupported_share"] == 1
    assert "holds nothing on at least 100.0% of the target's actions" in found["reason"]
    code, said, _ = run(tmp_path / "log.parquet", "--target-column", "chosen")
    assert code == 0
    assert "withheld" in said
    assert [path.name for path in tmp_path.iterdir()] == ["log.parquet"]


@pytest.mark.parametrize(
    ("options", "columns", "said"),
    [
        ((), {}, "either --target uniform or --target-column COLUMN"),
        (("--target", "uniform", "--target-column", "chosen"), {}, "either --target uniform or --target-column COLUMN"),
        (("--target", "uniform", "--target-kind", "action"), {}, "which is not given"),
        (
            ("--target", "uniform"),
            {"reward": "gian"},
            "--reward gian: {data} has no column 'gian'; did you mean 'gain'?",
        ),
        (("--target", "uniform", "--unit", "custmer"), {}, "did you mean 'customer'?"),
        (("--target", "uniform"), {"reward": "chosen"}, "which is not a number."),
        (("--target", "uniform"), {"propensity": "flag"}, "{data} holds 0 there; the probability"),
        (("--target", "uniform"), {"propensity": "customer"}, "there; the probability"),
        (("--target-column", "customer"), {}, "which is no probability from 0 to 1."),
        (("--target-column", "flag"), {"action": "code"}, "say which with --target-kind action"),
        (("--target-column", "chance", "--context", "kind"), {}, "leave --context out"),
        (("--target", "uniform", "--context", "gain"), {}, "--context gain: this column is --reward already"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    options: tuple[str, ...], columns: dict[str, str], said: str, folder: Path
) -> None:
    data = folder / "log.csv"
    code, output, error = run(data, *options, **columns)
    assert code == 2
    assert said.format(data=data) in error
    assert output == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("act,gain,p\n", "has no rows"),
        ("act,gain,p\na,1,0.5\na,0,0.5\n", "every row has the action 'a'"),
        ("act,gain,p\na,1,0.5\nb,,0.5\n", "--reward gain: 1 rows of"),
        ("act,gain,p\na,1,0.5\nb,0,\n", "--propensity p: 1 rows of"),
    ],
)
def test_a_file_that_is_no_log_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(text)
    code, _, error = run(tmp_path / "log.csv", "--target", "uniform")
    assert code == 2
    assert said in error
