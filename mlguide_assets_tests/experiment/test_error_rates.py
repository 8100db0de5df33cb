"""How often experiments are wrong, over two thousand of them: with nothing planted, and with an effect that is.

The first go the whole way: units are assigned and exposed by their draws, have their outcome, and are read at 20 looks.
"""

from dataclasses import dataclass
from functools import cache

import ibis
import numpy as np
import pytest
from scipy.stats import binom

from mlguide_assets.experiment.analysis.design import Design, Looks, Metric
from mlguide_assets.experiment.analysis.estimates import estimate_effects
from mlguide_assets.experiment.analysis.units import Arm, Units
from mlguide_assets.experiment.analysis.verdict import decide
from mlguide_assets.experiment.assignment import assignments
from mlguide_assets.experiment.specification import Experiment
from mlguide_assets.statistics.arrays import Floats
from mlguide_assets.statistics.confidence_sequences import log_evidence
from mlguide_assets.statistics.cuped import Moments, adjust
from mlguide_assets.statistics.draws import draw_index_column, draw_share_column
from mlguide_assets.statistics.means import compare_means
from mlguide_assets.statistics.power import Baseline, units_needed
from mlguide_assets.statistics.proportions import Events, compare_proportions, score_z
from mlguide_assets.statistics.sequential import boundaries

EXPERIMENTS, LOOKS, ALPHA = 2000, 20, 0.05
FRACTIONS = tuple((look + 1) / LOOKS for look in range(LOOKS))
BOUNDS = np.array(boundaries(FRACTIONS, ALPHA))
FEWEST, MOST = binom.ppf([0.005, 0.995], EXPERIMENTS, ALPHA) / EXPERIMENTS


@dataclass(frozen=True, eq=False)
class Read:
    """Units and events up to each look (experiments, looks)."""

    control_units: Floats
    control_events: Floats
    units: Floats
    events: Floats

    @property
    def z(self) -> Floats:
        return score_z(self.control_events, self.control_units, self.events, self.units)


@cache
def nothing_planted(units: int = 500, rate: float = 0.3) -> Read:
    """A/A experiments, each on units of its own, from the assignment on."""
    file = Experiment.model_validate(
        {
            "name": "a_a",
            "hypothesis": "There is no difference.",
            "salts": {"inclusion": "a_a/in", "arm": "a_a/arm"},
            "arms": [{"name": name, "policy": "generic", "weight": 0.5} for name in ("control", "treatment")],
            "control": "control",
            "primary": {"metric": "outcome", "better": "lower", "smallest_effect": 0.2},
            "looks": ["28d"],
        }
    )
    world = ibis.range(EXPERIMENTS * units).unnest().name("unit_id").as_table()
    assigned = assignments(file, world, 1.0)
    rows = assigned.select(
        experiment=assigned.unit_id // units,
        treated=(assigned.arm == "treatment").cast("int8"),
        look=draw_index_column("exposed", assigned.unit_id, ibis.literal(LOOKS)),
        event=draw_share_column("outcome", assigned.unit_id) < rate,
    )
    cells = rows.group_by("experiment", "treated", "look").agg(units=rows.count(), events=rows.event.sum())
    found = cells.to_pyarrow()
    experiment, treated, look = (found[name].to_numpy() for name in ("experiment", "treated", "look"))
    counts = np.zeros((2, 2, EXPERIMENTS, LOOKS))
    for place, name in enumerate(("units", "events")):
        counts[treated, place, experiment, look] = found[name].to_numpy()
    (control_units, control_events), (treated_units, events) = counts.cumsum(axis=-1)
    return Read(control_units, control_events, treated_units, events)


def planted(baseline: float, change: float, units: int, seed: int) -> Read:
    """Experiments with an effect, by binomial counts."""
    generator = np.random.default_rng(seed)
    per_look = units // 2 // LOOKS
    arms = [
        generator.binomial(per_look, rate, (EXPERIMENTS, LOOKS)).cumsum(axis=1).astype(float)
        for rate in (baseline, baseline * (1 + change))
    ]
    seen = np.broadcast_to(per_look * np.arange(1, LOOKS + 1, dtype=float), arms[0].shape)
    return Read(seen, arms[0], seen, arms[1])


def test_a_fixed_score_test_rejects_as_often_as_alpha_says() -> None:
    rejected = (np.abs(nothing_planted().z[:, -1]) > 1.96).mean()
    assert FEWEST <= rejected <= MOST


def test_twenty_looks_keep_alpha_where_they_are_planned_and_break_it_where_not() -> None:
    z = np.abs(nothing_planted().z)
    assert FEWEST <= (z >= BOUNDS).any(axis=1).mean() <= MOST
    assert (z > 1.96).any(axis=1).mean() > 0.18


def test_the_verdict_rejects_exactly_where_z_is_beyond_its_boundary() -> None:
    read = nothing_planted()
    beyond = np.abs(read.z) >= BOUNDS
    rejected, others = np.flatnonzero(beyond.any(axis=1)), np.flatnonzero(~beyond.any(axis=1))
    for experiment in (*rejected[:8], *others[:4]):
        look = int(beyond[experiment].argmax()) if beyond[experiment].any() else 9
        design = Design(
            unit="unit_id",
            variant="arm",
            control="control",
            metrics=(Metric("event"),),
            looks=Looks(FRACTIONS[: look + 1]),
        )
        arms = {
            "control": _arm(read.control_units[experiment, look], read.control_events[experiment, look]),
            "treatment": _arm(read.units[experiment, look], read.events[experiment, look]),
        }
        verdict = decide(estimate_effects(Units(0, arms, 0, 0, {}, {}), design), design).verdict
        assert (verdict in ("ship", "keep")) == beyond[experiment, look]


def _arm(units: float, events: float) -> Arm:
    nothing, square = np.full(1, np.nan), np.full((1, 1), np.nan)
    return Arm(int(units), int(units), (int(events),), nothing, square, nothing, missing=())


def test_a_confidence_sequence_may_be_looked_at_always() -> None:
    read = nothing_planted()
    counts = (each[:, 1::2, None] for each in (read.control_events, read.events))
    evidence = log_evidence(*counts, [0.5], ratio=1.0)
    assert (evidence > np.log(1 / ALPHA)).any(axis=1).mean() <= MOST


@pytest.mark.parametrize("adjusted", [False, True], ids=["welch", "cuped"])
def test_skewed_means_with_and_without_covariates_keep_alpha_and_cover(adjusted: bool) -> None:
    generator, units, effect = np.random.default_rng(12), 300, 0.3
    before = generator.gamma(1.0, 2.0, (2, EXPERIMENTS, units))
    after = 0.5 * before + generator.gamma(1.0, 1.5, before.shape)
    after[1] += effect
    covered = 0
    for experiment in range(EXPERIMENTS):
        moments = {}
        for place, name in enumerate(("control", "treatment")):
            rows = np.stack([after[place, experiment], before[place, experiment]])
            moments[name] = Moments(units, rows.mean(axis=1), np.cov(rows))
        arms = adjust(moments, *moments) if adjusted else tuple(each.outcome for each in moments.values())
        assert arms is not None
        interval = compare_means(*arms, alpha=ALPHA).difference
        covered += interval.low <= effect <= interval.high
    # Without an effect, all else equal, the interval misses 0 as often as it misses the effect here.
    assert FEWEST <= 1 - covered / EXPERIMENTS <= MOST


def test_as_many_covariates_as_few_units_allow_keep_alpha() -> None:
    generator, units, covariates = np.random.default_rng(15), 25, 20
    rows = generator.normal(size=(EXPERIMENTS, 2, 1 + covariates, units))
    rows[:, :, 0] += 50 + 0.3 * rows[:, :, 1:].sum(axis=2)
    rejected = 0
    for experiment in rows:
        control, treatment = (Moments(units, arm.mean(axis=1), np.cov(arm)) for arm in experiment)
        arms = adjust({"control": control, "treatment": treatment}, "control", "treatment")
        assert arms is not None
        rejected += compare_means(*arms).p_value <= ALPHA
    assert FEWEST <= rejected / EXPERIMENTS <= MOST


def test_score_intervals_of_rare_events_cover_difference_and_ratio() -> None:
    generator, units, rates = np.random.default_rng(13), 3000, (0.012, 0.009)
    covered = np.zeros(2)
    drawn = generator.binomial(units, rates, (600, 2))
    for control, treatment in drawn.tolist():
        found = compare_proportions(Events(control, units), Events(treatment, units))
        covered += [
            found.difference.low <= rates[1] - rates[0] <= found.difference.high,
            found.ratio.low <= rates[1] / rates[0] <= found.ratio.high,
        ]
    assert ((covered / len(drawn) >= 0.93) & (covered / len(drawn) <= 0.97)).all()


@pytest.mark.parametrize("looks", [(1.0,), FRACTIONS], ids=["one look", "twenty looks"])
def test_power_is_as_planned(looks: tuple[float, ...]) -> None:
    units = units_needed(Baseline(0.03), -0.2, power=0.8, looks=looks)
    z = np.abs(planted(0.03, -0.2, units, seed=14).z)
    found = (z[:, -1] >= 1.96) if len(looks) == 1 else (z >= BOUNDS).any(axis=1)
    assert found.mean() == pytest.approx(0.8, abs=0.03)
