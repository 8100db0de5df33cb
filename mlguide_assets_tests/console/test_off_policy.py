"""`mlguide experiment off-policy` on anyone's file: the answer as text and JSON, and what it refuses."""

import json
from datetime import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from mlguide_assets.cli import app
from mlguide_assets.experiment.spelled_names import SpelledNames
from mlguide_assets_tests.experiment.logs import RATES, logged

WORLD = logged(3, units=1000)
NAMES = np.array(["call", "mail", "wait"])


# The same target in other spellings of its actions than those of the log.
SPELLED: dict[str, tuple[list[Any], list[Any]]] = {
    "whole numbers and fractions": (["0", "1"], ["0.0", "1.0"]),
    "fractions and whole numbers": (["0.0", "1.0"], ["0", "1"]),
    "whole numbers and floats": ([0, 1], [0.0, 1.0]),
    "whole numbers and text": ([7, 8], ["7.0", "8"]),
    "flags and floats": ([False, True], [0.0, 1.0]),
    "flags in words": (["no", "yes"], ["False", "TRUE"]),
    "leading zeros": (["00", "01"], [0, 1]),
    "numbers beyond floats": ([2**53, 2**53 + 1], [str(2**53), str(2**53 + 1)]),
    # A flag is one of two.
    "letters": (["n", "y"], ["n", "y"]),
}


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


def test_a_european_log_is_read_as_one_with_points(folder: Path, tmp_path: Path) -> None:
    european = tmp_path / "log.csv"
    table = log_table()
    texts = {
        name: [str(value).replace(".", ",") for value in table[name].to_pylist()] for name in ("p", "chance", "gain")
    }
    for name, values in texts.items():
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    pa.csv.write_csv(table, european, pa.csv.WriteOptions(delimiter=";"))
    columns = ["--target-column", "chance"]
    assert answer(european, "--decimal-comma", *columns) == answer(folder / "log.csv", *columns)
    _, _, said = run(european, *columns)
    assert said.endswith("give --decimal-comma if a comma is before the fraction.")


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


def test_a_context_is_read_by_its_values_not_by_its_type(tmp_path: Path) -> None:
    table, log = log_table(), WORLD.log
    days = np.datetime64("2024-01-01T12") + np.arange(len(log.rewards)).astype("timedelta64[D]")
    table = table.append_column("at", pa.array(days.astype("datetime64[s]")))
    table = table.append_column("new", pa.array(WORLD.decisions.context.values[:, 0] > 1))
    hours = pa.array([time(each % 24) for each in range(table.num_rows)], pa.time32("s"))
    table = table.append_column("hour", hours).slice(0, 500)
    pa.csv.write_csv(table, tmp_path / "log.csv")
    pq.write_table(table, tmp_path / "log.parquet")
    options = ("--target-column", "chosen", *(text for name in ("at", "new", "hour") for text in ("--context", name)))
    assert answer(tmp_path / "log.csv", *options) == answer(tmp_path / "log.parquet", *options)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("value", [np.inf, -1e300])
def test_a_context_that_no_model_takes_is_refused(value: float, kind: str, tmp_path: Path) -> None:
    table = log_table().append_column("x", pa.array(np.where(np.arange(2000) == 7, value, 1.5)))
    (pa.csv.write_csv if kind == "csv" else pq.write_table)(table, tmp_path / f"log.{kind}")
    code, _, said = run(tmp_path / f"log.{kind}", "--target", "uniform", "--context", "x")
    assert code == 2
    assert f"--context x: {tmp_path / f'log.{kind}'} holds {value:g} there; the model takes" in said


def test_a_uniform_target_is_worth_the_mean_over_the_actions(folder: Path) -> None:
    found = answer(folder / "log.csv", "--target", "uniform")["estimates"]
    assert all(value["low"] < RATES.mean() < value["high"] for value in found.values())


def test_numbers_of_actions_are_compared_as_numbers(folder: Path) -> None:
    by_name = answer(folder / "log.csv", "--target-column", "chosen")
    assert answer(folder / "log.parquet", "--target-column", "chosen_code", action="code") == by_name


@pytest.mark.parametrize("spelled", SPELLED)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_equal_actions_are_equal_however_they_are_spelled(spelled: str, kind: str, tmp_path: Path) -> None:
    logged_as, chosen_as = SPELLED[spelled]
    generator = np.random.default_rng(0)
    act, chosen = generator.integers(2, size=(2, 1000))
    table = pa.table(
        {
            "act": pa.array([logged_as[each] for each in act]),
            "gain": generator.binomial(1, np.where(act == chosen, 0.8, 0.2)),
            "p": np.full(1000, 0.5),
            "chosen": pa.array([chosen_as[each] for each in chosen]),
        }
    )
    data = tmp_path / f"log.{kind}"
    (pa.csv.write_csv if kind == "csv" else pq.write_table)(table, data)
    right = table["gain"].to_numpy()[act == chosen].mean()
    told = answer(data, "--target-column", "chosen", "--target-kind", "action")
    assert told["estimates"]["snips"]["value"] == pytest.approx(right)
    # Never taken for probabilities in silence.
    code, out, said = run(data, "--json", "--target-column", "chosen")
    assert (code == 2 and "may be actions or probabilities" in said) or json.loads(out) == told


def test_actions_that_only_zeros_or_letters_tell_apart_stay_apart() -> None:
    assert SpelledNames(("01", "1", "1.0", "t", "y")).names == ("01", "1", "t", "y")


@pytest.mark.parametrize("actions", ["123", "abc"])
def test_zeros_and_ones_may_be_actions_that_were_never_logged(actions: str, tmp_path: Path) -> None:
    rows = [f"{actions[row % 3]},{row % 2},0.3,{row % 2}" for row in range(300)]
    (tmp_path / "log.csv").write_text("\n".join(["act,gain,p,sure", *rows]))
    code, _, said = run(tmp_path / "log.csv", "--target-column", "sure")
    assert (code, "may be actions or probabilities" in said) == ((2, True) if actions == "123" else (0, False))


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
    assert "holds nothing on at least 100.0% of the target's actions, such as 'fly'; at most" in found["reason"]
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
        ("act,gain,p\na,1,0.5\nb,,0.5\n", "--reward gain: 1 row of"),
        ("act,gain,p\na,1,0.5\nb,0,\n", "--propensity p: 1 row of"),
        ("act,gain,p\na,1,0.5\nb,0,1e-40\n", "holds 1e-40 there; the probability"),
        ("act,gain,p\na,1,0.5\nb,-1e300,0.5\n", "--reward gain: {data} holds -1e+300 there; rewards are at most"),
    ],
)
def test_a_file_that_is_no_log_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(text)
    code, _, error = run(tmp_path / "log.csv", "--target", "uniform")
    assert code == 2
    assert said.format(data=tmp_path / "log.csv") in error
