"""Training a version again from what was kept of it: the same bytes, with the send plans that weighted it."""

from pathlib import Path

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.define.policies import Exploration
from mlguide_assets.deploy.registry.registration import register_candidate
from mlguide_assets.deploy.registry.reproduction import keep_inputs, reproduce
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home
from mlguide_assets.train.candidate import Candidate, train_candidate
from mlguide_assets.train.evaluation.metrics import METRICS, point
from mlguide_assets.train.lineage import Lineage, lineage_of, plans_of
from mlguide_assets.train.storage import record_of, save_candidate, save_plots
from mlguide_assets_tests.email_case import SEND_PLAN
from mlguide_assets_tests.train.sends import PROBLEM, plans_of_sends

WEIGHING = PROBLEM.model_copy(update={"exploration": Exploration(share=0.5, weight_training=True)})


def filled(lake: Lake, sends: pa.Table) -> Lake:
    for table in (*WEIGHING.tables, WEIGHING.core_table, WEIGHING.features_table):
        lake.write(table, sends if table == "send_features" else pa.table({"x": [1]}))
    plans = plans_of_sends(sends, share=0.5)
    lake.write_partition(SEND_PLAN, "2024-01-01", plans)
    return lake


def registered(home: Home, candidate: Candidate, lineage: Lineage, folder: Path) -> str:
    save_candidate(candidate, WEIGHING, lineage, folder)
    save_plots({"roc_curve": b"\x89PNG"}, folder)
    labels, scores = candidate.scores["label"].to_numpy(), candidate.scores[candidate.name].to_numpy()
    values = [point(metric, labels, scores) for metric in METRICS]
    evaluation = pa.table(
        {"model": [candidate.name] * 4, "metric": list(METRICS), "value": values, "low": values, "high": values}
    )
    record = register_candidate(home, WEIGHING, ibis.memtable(record_of(folder)), ibis.memtable(evaluation))
    return str(record["version"][0].as_py())


def test_a_version_that_was_weighted_by_plans_is_made_again(home: Home, sends: pa.Table) -> None:
    lake = filled(Lake(home.lake(WEIGHING.key)), sends)
    lineage = lineage_of(lake, WEIGHING)
    candidate = train_candidate(lake.read("send_features"), WEIGHING, plans=plans_of(lake, lineage, WEIGHING))
    assert candidate.facts["planned_decisions"] > 500
    version = registered(home, candidate, lineage, home.candidates(WEIGHING.key) / lineage.id)
    keep_inputs(lake, WEIGHING, version, lineage.to_json())

    plan = lake.read_arrow(SEND_PLAN)
    for newer in range(lake.keep + 1):
        lake.write_partition(SEND_PLAN, "2024-01-01", plan.slice(newer + 1))
    again = reproduce(home, WEIGHING, version, lambda _: None)
    assert again.as_promised, again.different
    assert not again.within

    lake.unpin(SEND_PLAN, f"version-{version}")
    lake.write_partition(SEND_PLAN, "2024-01-01", plan.slice(0, 10))
    with pytest.raises(InputError, match=f"snapshot .*{lineage.snapshots[SEND_PLAN]}.* is no longer kept"):
        reproduce(home, WEIGHING, version, lambda _: None)
