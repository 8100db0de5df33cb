"""Batch predictions: every user with every candidate, what the model itself says, in any number of slices."""

from datetime import date, datetime, timedelta
from pathlib import Path

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy import batch
from mlguide_assets.deploy.batch import best_choices, candidates, score
from mlguide_assets.deploy.bundle import Bundle, champion, export_bundle, set_champion
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.features.state import entity_state, features_of_choices
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.train.candidate import Candidate
from mlguide_assets.train.storage import load_facts
from mlguide_assets_tests.deploy.plans import IDS, PREDICTIONS_SCHEMA
from mlguide_assets_tests.deploy.scores import saved
from mlguide_assets_tests.samples import THEMES, USERS, Tables, sample_problem
from mlguide_assets_tests.train.sends import PROBLEM, replaced

DAY = date(2024, 4, 20)
AS_OF = datetime(2024, 4, 20)
CANDIDATES = PROBLEM.scoring.candidates


@pytest.fixture(scope="module")
def current(trained: Candidate, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    root = tmp_path_factory.mktemp("bundles")
    candidate = saved(trained, root / "candidates")
    facts = load_facts(candidate) | {"trained_at": "2024-04-19", "threshold": 0.09}
    export_bundle(candidate, root / "sample", "7", facts)
    set_champion(root / "sample", "7")
    installed = champion(root / "sample")
    assert installed is not None
    return installed


@pytest.fixture(scope="module")
def users(tables: Tables) -> pa.Table:
    return entity_state(read(tables), PROBLEM, "user", AS_OF).to_pyarrow()


@pytest.fixture(scope="module")
def emails(tables: Tables) -> pa.Table:
    return candidates(entity_state(read(tables), PROBLEM, "email", AS_OF), PROBLEM).to_pyarrow()


def read(tables: Tables) -> dict[str, ibis.Table]:
    return {name: ibis.memtable(rows) for name, rows in tables.items()}


def test_older_sends_count_in_the_state_of_a_user_as_recent_ones_do(users: pa.Table, tables: Tables) -> None:
    sends = tables["user_emails"].to_pandas()
    sends = sends[sends.delivered_at < AS_OF]
    age = AS_OF - sends.delivered_at
    lost = (sends.unsubscribed == PROBLEM.label.positive) & (age >= PROBLEM.label.window)
    counted = {
        "number_of_emails": age > timedelta(0),
        "number_of_unsubscribes": lost,
        "emails_last_7_days": age <= timedelta(days=7),
        "emails_last_30_days": age <= timedelta(days=30),
    }
    # Some are older than every window, and some users had nothing lately.
    assert not counted["emails_last_30_days"].all()
    state = users.to_pandas().set_index("user_id")
    for name, which in counted.items():
        expected = which.groupby(sends.user_id).sum().reindex(state.index, fill_value=0)
        assert (state[name] == expected).all(), name
    assert (state.last_delivered_at == sends.groupby("user_id").delivered_at.max().reindex(state.index))[
        state.number_of_emails > 0
    ].all()


def scored(users: pa.Table, emails: pa.Table, current: Bundle | None) -> pa.Table:
    return reader(ibis.memtable(users), ibis.memtable(emails), current).read_all()


def reader(
    users: ibis.Table, emails: ibis.Table, current: Bundle | None, problem: Problem = PROBLEM
) -> pa.RecordBatchReader:
    pairs = batch.choices(users, emails, problem)
    return score(pairs, current, problem, ids=IDS, day=DAY, run_id="run 1")


@pytest.fixture(scope="module")
def predictions(users: pa.Table, emails: pa.Table, current: Bundle) -> pa.Table:
    return scored(users, emails, current)


def test_candidates_are_the_newest_emails(tables: Tables, emails: pa.Table) -> None:
    newest = tables["email_content"].sort_by([("created_at", "descending"), ("id", "descending")])
    assert emails["email_id"].to_pylist() == newest["id"].to_pylist()[:CANDIDATES]


def test_every_user_is_scored_with_every_candidate_once(predictions: pa.Table, emails: pa.Table) -> None:
    pairs = list(zip(predictions["user_id"].to_pylist(), predictions["email_id"].to_pylist(), strict=True))
    expected = [(user, email) for user in range(1, USERS + 1) for email in sorted(emails["email_id"].to_pylist())]
    assert pairs == expected


def test_probabilities_are_what_the_model_says_of_the_pair(
    users: pa.Table, emails: pa.Table, predictions: pa.Table, trained: Candidate
) -> None:
    pairs = features_of_choices(ibis.memtable(users), ibis.memtable(emails), PROBLEM).to_pyarrow()
    pairs = pairs.sort_by([("user_id", "ascending"), ("email_id", "ascending")])
    direct = trained.model.predict(trained.model.encoding.matrix(pairs))
    np.testing.assert_array_equal(predictions["probability"].to_numpy(), direct)


def test_the_decision_follows_from_the_champions_threshold(predictions: pa.Table, current: Bundle) -> None:
    risky = predictions["probability"].to_numpy() >= current.threshold
    assert 0 < risky.sum() < len(risky)
    assert predictions["decision"].to_pylist() == ["withhold" if each else "send" for each in risky]


def test_every_row_says_by_what_and_as_of_when(predictions: pa.Table) -> None:
    assert predictions.schema.equals(PREDICTIONS_SCHEMA)
    assert pc.unique(predictions["scoring_date"]).to_pylist() == [DAY]
    assert pc.unique(predictions["feature_time"]).to_pylist() == [AS_OF]
    assert pc.unique(predictions["model_version"]).to_pylist() == ["7"]
    assert pc.unique(predictions["run_id"]).to_pylist() == ["run 1"]
    assert all(predictions[name].null_count == 0 for name in predictions.column_names)


@pytest.mark.parametrize(("at_once", "held"), [(1, USERS), (7, 20), (USERS, 7)])
def test_slices_give_what_one_piece_gives(
    users: pa.Table,
    emails: pa.Table,
    current: Bundle,
    predictions: pa.Table,
    at_once: int,
    held: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batch, "UNITS_AT_ONCE", at_once)
    monkeypatch.setattr(batch, "UNITS_IN_MEMORY", held)
    few = users.slice(0, 10) if at_once == 1 else users
    assert scored(few, emails, current).equals(predictions.slice(0, few.num_rows * CANDIDATES))


def test_the_order_of_the_users_does_not_matter(
    users: pa.Table, emails: pa.Table, current: Bundle, predictions: pa.Table
) -> None:
    assert scored(users.take(list(range(USERS - 1, -1, -1))), emails, current).equals(predictions)


def test_without_a_champion_there_is_nothing(users: pa.Table, emails: pa.Table, tmp_path: Path) -> None:
    nothing = scored(users, emails, None)
    assert nothing.num_rows == 0
    assert nothing.schema.equals(PREDICTIONS_SCHEMA)
    assert Lake(tmp_path).write_partition("batch_predictions", str(DAY), nothing).rows == 0


@pytest.mark.filterwarnings("ignore:.*Empty dataset")
def test_without_users_or_emails_there_is_nothing(users: pa.Table, emails: pa.Table, current: Bundle) -> None:
    for one, other in ((users.slice(0, 0), emails), (users, emails.slice(0, 0))):
        nothing = scored(one, other, current)
        assert nothing.num_rows == 0
        assert nothing.schema.equals(PREDICTIONS_SCHEMA)


def test_writing_a_day_twice_is_writing_it_once(
    users: pa.Table, emails: pa.Table, current: Bundle, tmp_path: Path
) -> None:
    lake = Lake(tmp_path)
    first, again = (lake.write_partition("p", str(DAY), scored(users, emails, current)) for _ in range(2))
    assert again.id == first.id
    other = lake.write_partition("p", "2024-04-21", scored(users, emails, current))
    assert other.rows == 2 * first.rows


def test_scoring_from_the_lake_leaves_nothing_in_the_working_directory(
    users: pa.Table,
    emails: pa.Table,
    current: Bundle,
    predictions: pa.Table,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    lake = Lake(tmp_path / "lake")
    for name, table in (("users", users), ("emails", emails)):
        lake.write(name, table)
    rows = reader(lake.read("users"), lake.read("emails"), current)
    assert lake.write_partition("p", str(DAY), rows).rows == predictions.num_rows
    assert lake.read("p").order_by("user_id", "email_id").to_pyarrow().equals(predictions)
    assert list(work.iterdir()) == []


def test_the_best_email_of_a_user_is_the_least_likely_to_lose_them(predictions: pa.Table) -> None:
    best = best_choices(ibis.memtable(predictions), PROBLEM).to_pyarrow()
    probability = predictions["probability"].to_numpy().reshape(USERS, CANDIDATES)
    assert best["user_id"].to_pylist() == list(range(1, USERS + 1))
    np.testing.assert_array_equal(best["probability"].to_numpy(), probability.min(axis=1))
    assert best.column_names == predictions.column_names


def test_between_equals_the_best_email_is_the_newest(predictions: pa.Table) -> None:
    equal = replaced(predictions, "probability", [0.5] * predictions.num_rows)
    best = best_choices(ibis.memtable(equal), PROBLEM).to_pyarrow()
    assert set(best["email_id"].to_pylist()) == {max(predictions["email_id"].to_pylist())}


def test_users_are_scored_as_of_the_day_and_not_by_their_last_send(tables: Tables, users: pa.Table) -> None:
    """The guide's mistake 12: no outcome of a send after the day, nor the last one's own, is in the row."""
    sends = tables["user_emails"]
    later = pc.greater_equal(sends["delivered_at"], pa.scalar(AS_OF, pa.timestamp("us")))
    assert pc.sum(later).as_py() > 0
    turned = replaced(sends, "unsubscribed", pc.if_else(later, "yes", sends["unsubscribed"]).combine_chunks())
    for known in (turned, sends.filter(pc.invert(later))):
        changed = {**read(tables), "user_emails": ibis.memtable(known)}
        assert entity_state(changed, PROBLEM, "user", AS_OF).to_pyarrow().equals(users)


def test_a_theme_that_training_never_saw_is_scored(users: pa.Table, emails: pa.Table, current: Bundle) -> None:
    strange = replaced(emails, "theme", ["sports"] * emails.num_rows)
    assert scored(users, strange, current).num_rows == USERS * CANDIDATES


def test_a_champion_of_a_problem_with_another_theme_is_named(tables: Tables, emails: pa.Table, current: Bundle) -> None:
    fewer = sample_problem("nowhere", themes=list(THEMES[:2]))
    state = entity_state(read(tables), fewer, "user", AS_OF)
    with pytest.raises(InputError, match="knows the feature 'number_of_email_theme_lifestyle', which the problem"):
        reader(state, ibis.memtable(emails), current, fewer).read_all()
