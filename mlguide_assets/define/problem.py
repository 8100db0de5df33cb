"""The problem: what is decided, what is predicted, from which tables, judged how.

This is the schema of a problem file. Reading one from disk is `loading.py`; every later stage takes
the validated `Problem` and nothing else.
"""

from datetime import date, timedelta
from itertools import pairwise
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from mlguide_assets.define.contracts import OneOf, Rule
from mlguide_assets.define.decision import Decision, decision_of, plural
from mlguide_assets.define.features import Features
from mlguide_assets.define.prediction import AggregateLabel, ColumnLabel, Predict, PredictEvent
from mlguide_assets.define.references import check_references
from mlguide_assets.define.rules import check_rules, rules_in_force
from mlguide_assets.define.schema import ColumnKind, Schema, Strict, Table, TableName
from mlguide_assets.define.sources import LONGEST_SIMULATED_DELAY, AnySimulator, SimulatorSource, Source
from mlguide_assets.define.values import Cron, Duration, Share, TimeZone


class Metric(Strict):
    primary: Literal["roc_auc", "pr_auc", "log_loss", "brier"] = "roc_auc"


class Costs(Strict):
    """What a wrong decision costs, in any one currency; only the ratio matters."""

    missed: Annotated[float, Field(gt=0)] = Field(description="A positive outcome that was not acted on.")
    false_alarm: Annotated[float, Field(gt=0)] = Field(description="Acting where the outcome would be negative.")

    @property
    def threshold(self) -> float:
        """The probability above which acting is cheaper than not acting (Elkan 2001, eq. 2)."""
        return self.false_alarm / (self.false_alarm + self.missed)


class Evaluation(Strict):
    test_share: Share = Field(
        default=0.25, description="Share of the matured decisions, the latest, kept for the test."
    )
    test_from: date | None = Field(default=None, description="First day of the test window, instead of test_share.")
    test_until: date | None = Field(default=None, description="The test window ends before this day; default: never.")
    bootstrap_repeats: int = Field(default=300, ge=50)
    seed: int = Field(default=0, ge=0)
    slices: tuple[str, ...] | None = Field(
        default=None,
        description="Columns of entities, judged value by value. Default: categories of the entities of a decision.",
    )
    sensitive: tuple[str, ...] = Field(default=(), description="Columns whose groups are compared for fairness.")
    min_positives: int = Field(default=30, ge=1, description="Positive outcomes below which a slice is not judged.")

    @model_validator(mode="after")
    def _window_is_one(self) -> "Evaluation":
        if self.test_until is not None and (self.test_from is None or self.test_until <= self.test_from):
            raise ValueError("test_until must be after test_from")
        return self


class Leakage(Strict):
    """Limits of the alarms that stop a training."""

    max_feature_auc: Annotated[float, Field(gt=0.5, le=1)] = Field(
        default=0.85, description="No single feature ranks the outcomes better than this: it would be the outcome."
    )
    users: int = Field(default=1000, ge=10, description="Users whose rows are computed anew with another future.")


class Tuning(Strict):
    """How long `--thorough` may look for better parameters."""

    trials: int = Field(default=25, ge=1)
    time_limit: Duration = Field(default=timedelta(minutes=3), description="The trial that is running then is dropped.")

    @model_validator(mode="after")
    def _takes_time(self) -> "Tuning":
        if self.time_limit <= timedelta(0):
            raise ValueError("time_limit must be longer than zero")
        return self


class Direction(Strict):
    """Which way a feature may move the risk, all else as it follows."""

    feature: Literal["emails_last_7_days"]
    effect: Literal["never_lowers", "never_raises"]
    tolerance: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.05, description="How far the mean risk may move the other way, as a share of it."
    )


class Behaviour(Strict):
    """What the model must do whatever its metrics are."""

    directions: tuple[Direction, ...] = ()

    @model_validator(mode="after")
    def _each_is_declared_once(self) -> "Behaviour":
        declared = [(each.feature, each.effect) for each in self.directions]
        if len(set(declared)) < len(declared):
            raise ValueError("directions: a feature and its effect are declared twice; keep one")
        return self


class Gate(Strict):
    """What a model must show before it may become champion."""

    min_gain: float = Field(
        default=0.0, ge=0, description="The lower end of the gain over the base rate, in the primary metric."
    )
    permutations: int = Field(default=1000, ge=100)
    max_p_value: Annotated[float, Field(gt=0, le=0.5)] = 0.01
    max_violations: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.05, description="Share of rows that may break any one rule that only warns."
    )
    champion_margin: float = Field(
        default=0.0, ge=0, description="How much worse than the champion the interval may reach; 0: it must be better."
    )
    min_fresh_positives: int = Field(
        default=100,
        ge=1,
        description="Lost users since the champion was trained, from which on it is judged as it serves.",
    )
    max_calibration_error: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.01, description="Mean distance of probabilities and rates, where chance alone does not explain more."
    )
    max_slice_gap: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.1, description="ROC AUC that no slice may surely lack against the whole."
    )
    max_group_gap: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="Difference in withheld share between sensitive groups; not judged unless given."
    )
    max_bundle_megabytes: Annotated[float, Field(gt=0)] = 20.0
    max_latency_ms: Annotated[float, Field(gt=0)] = Field(default=5.0, description="Scoring one row, median.")


class Experimenting(Strict):
    """The experiment that tests the hypothesis, and what an experiment on a model's decisions means to the gate."""

    file: str | None = Field(
        default=None,
        description="A shipped experiment, or an experiment file, relative to this one. It starts by itself once "
        "there is a champion, where days go on.",
    )
    required: bool = Field(
        default=False,
        description="Whether a model that passed the gate waits for an experiment that says ship; else it is reported.",
    )


CanaryMetric = Literal["outcome", "withheld", "errors", "slow"]
"""What is counted while a version goes live: units that had the positive outcome, that were withheld from, that the
version failed to answer, for whose answer it took longer than `slow_ms`."""

Margin = Annotated[float, Field(gt=0, le=10)]


class Canary(Strict):
    """How a model that passed the gate goes live: for few units first, watched, and back by itself where it harms."""

    ramp: tuple[Share, ...] = Field(
        default=(0.01, 0.05, 0.2, 0.5), min_length=1, description="Of the units, step by step; who is in stays in."
    )
    days_per_step: Annotated[int, Field(ge=1, le=90)] = 2
    min_events: Annotated[int, Field(ge=1)] = Field(
        default=25,
        description="Units that had the outcome: so many more of both arms before each next step, and so many of its "
        "own before a version is promoted.",
    )
    guardrails: dict[CanaryMetric, Margin] = Field(
        default={"outcome": 0.2, "errors": 0.5, "slow": 0.5},
        min_length=1,
        description="The relative change for the worse that is accepted; surely beyond it, the canary is aborted.",
    )
    signals: dict[CanaryMetric, Margin] = Field(
        default={"withheld": 0.5}, description="Beyond it, even if not surely, the ramp pauses."
    )
    alpha: Annotated[float, Field(gt=0, le=0.5)] = Field(
        default=0.05, description="How often a harmless version is aborted at most, over all looks and guardrails."
    )
    slow_ms: Annotated[float, Field(gt=0)] = Field(
        default=50.0, description="A model that takes longer for an answer is slow."
    )
    give_up_after: Annotated[int, Field(ge=1, le=365)] = Field(
        default=60, description="Days after which a canary that could not be judged leaves the champion in place."
    )

    @model_validator(mode="after")
    def _ramp_only_grows(self) -> "Canary":
        if any(later <= earlier for earlier, later in pairwise(self.ramp)):
            raise ValueError("ramp: every share must be larger than the one before, so that no unit leaves")
        if self.give_up_after <= self.days_per_step * len(self.ramp):
            raise ValueError(
                f"give_up_after: {self.give_up_after} days end before the ramp can, which takes "
                f"{self.days_per_step * len(self.ramp)} days; write more"
            )
        return self


class Scoring(Strict):
    """The emails that batch predictions choose from."""

    candidates: int = Field(default=20, ge=1, le=1000, description="The newest, as of the scoring date.")


class Exploration(Strict):
    """The random share of the send plan, and what training does with the propensities that it leaves."""

    share: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="Of the users who are sent something: whose email is drawn at random; 0: none."
    )
    salt: Annotated[str, Field(pattern=r"^[\w.-]{1,80}$")] = Field(
        default="exploration", description="Another salt draws other users and emails; the same draws the same."
    )
    weight_training: bool = Field(
        default=False, description="Whether sends that a plan chose count by the inverse of their propensity."
    )
    max_weight: Annotated[float, Field(gt=1)] = Field(
        default=5.0, description="The most that one of them may count, where 1 is the mean."
    )


Policy = Literal["generic", "champion", "challenger", "random"]
POLICIES: tuple[Policy, ...] = get_args(Policy)

PolicyShare = Annotated[float, Field(ge=0, le=1)]


class Policies(Strict):
    """Which share of the users follows which policy of the send plan; a user stays with theirs."""

    generic: PolicyShare = Field(default=0.0, description="One email for everybody on a day, withheld from nobody.")
    champion: PolicyShare = Field(default=0.0, description="The model in production chooses, and explores.")
    challenger: PolicyShare = Field(default=0.0, description="The same with the challenger's scores, if there is one.")
    random: PolicyShare = Field(default=0.0, description="One of the candidates, all equally likely.")

    @model_validator(mode="after")
    def _all_users_have_one(self) -> "Policies":
        total = sum(self.shares.values())
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the shares sum to {total:g}; they must sum to 1, such as {{champion: 0.9, random: 0.1}}")
        return self

    @property
    def shares(self) -> dict[Policy, float]:
        return {policy: getattr(self, policy) for policy in POLICIES}


class Serving(Strict):
    """What the API promises, and where it stops."""

    clock: Literal["wall", "data"] | None = Field(
        default=None,
        description="What 'now' means: the wall's clock, or the newest instant that the features know. Default: wall, "
        "but data for a simulated world, whose days are not the wall's.",
    )
    stale_after: Duration = Field(default=timedelta(hours=36), description="Features older than this are flagged.")
    refuse_after: Duration = Field(default=timedelta(days=7), description="Features older than this are not used.")
    max_pairs: int = Field(default=1000, ge=1, le=100_000, description="Pairs of user and email per request.")
    max_explained_pairs: int = Field(default=100, ge=1, le=10_000, description="The same, with reasons.")
    max_concurrent: int = Field(default=64, ge=1, le=10_000, description="Requests in progress, per worker.")
    max_body_kilobytes: int = Field(default=256, ge=1, le=100_000)
    max_log_gigabytes: float = Field(
        default=20, gt=0, description="What the servers' prediction log may hold; what has landed makes room."
    )

    @model_validator(mode="after")
    def _flags_before_it_refuses(self) -> "Serving":
        if self.refuse_after < self.stale_after:
            raise ValueError("refuse_after must not be shorter than stale_after")
        return self


class Watching(Strict):
    """What is watched once a model serves, and when it is worth acting."""

    days: int = Field(default=90, ge=1, le=3650, description="How far back performance is measured.")
    window_days: int = Field(
        default=7, ge=1, le=365, description="Length of the windows that performance is judged on."
    )
    max_drop: float = Field(default=0.03, ge=0, description="Of the primary metric, that may surely be lost.")
    min_rows: int = Field(default=500, ge=1, description="Sends of a day without which its drift is not judged.")
    report_days: int = Field(
        default=7, ge=1, description="Days per drift report. Where drift begins, one is written at once."
    )
    reports: int = Field(default=14, ge=1, description="Drift reports that are kept.")


class Retraining(Strict):
    """What has a model trained anew while `mlguide ui` runs, and what is done about a bad one."""

    refresh_every: Duration = Field(
        default=timedelta(hours=24),
        description="How often the source is read, counted from midnight UTC. A live world: whenever a day has passed.",
    )
    look_every: Duration = Field(
        default=timedelta(seconds=30), description="How often sensors look for what is new; whole seconds."
    )
    daily: Cron = Field(default="0 3 * * *", description="When to retrain if any send has arrived since the last time.")
    often: Cron = Field(default="0 */2 * * *", description="When to look whether enough outcomes have matured since.")
    timezone: TimeZone = Field(default="UTC", description="Of the two schedules. All data are in UTC.")
    min_new_matured_sends: int = Field(
        default=5000, ge=1, description="Sends that must have matured since the last training."
    )
    cool_down: Duration = Field(
        default=timedelta(days=3), description="Days of data between two trainings for drift or for a drop."
    )
    watch_for: Duration = Field(
        default=timedelta(days=28),
        description="How long, in days of data, a new champion is held against the one before; 0d: not at all.",
    )

    @model_validator(mode="after")
    def _time_passes(self) -> "Retraining":
        if self.refresh_every < timedelta(minutes=1):
            raise ValueError("refresh_every must be 1m or longer")
        if self.look_every < timedelta(seconds=1):
            raise ValueError("look_every must be 1s or longer")
        return self


class Problem(Strict):
    """A validated problem file."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    statement: str
    hypothesis: str
    owner: Annotated[str, Field(pattern=r"^(team:[\w.-]+|[^@\s]+@[^@\s]+)$")] = "team:mlguide"
    history_start: date
    source: Source
    tables: dict[TableName, Table] = Field(min_length=1)
    predict: Predict
    features: Features = Features()
    metric: Metric = Metric()
    costs: Costs
    evaluation: Evaluation = Evaluation()
    leakage: Leakage = Leakage()
    tuning: Tuning = Tuning()
    behaviour: Behaviour = Behaviour()
    gate: Gate = Gate()
    approval: Literal["automatic", "required"] = Field(
        default="automatic", description="Whether a model that passed the gate waits for 'mlguide promote'."
    )
    experiment: Experimenting = Experimenting()
    canary: Canary | None = Field(
        default=None, description="Default: a model that passed the gate is in production at once, for all units."
    )
    scoring: Scoring = Scoring()
    exploration: Exploration = Exploration()
    policies: Policies = Policies(champion=1.0)
    serving: Serving = Serving()
    watching: Watching = Watching()
    retraining: Retraining = Retraining()
    contracts: tuple[Rule, ...] = Field(
        default=(), description="Added to the rules that hold everywhere, or replacing one by its name."
    )

    @model_validator(mode="after")
    def _names_are_known(self) -> "Problem":
        check_references(Schema(tables=self.tables), self.predict, self.features)
        check_rules(self.contracts, self.schema)
        return self

    @model_validator(mode="after")
    def _sliced_columns_exist(self) -> "Problem":
        known = self.sliceable
        for key, names in (("slices", self.evaluation.slices or ()), ("sensitive", self.evaluation.sensitive)):
            for name in names:
                if name not in known:
                    raise ValueError(
                        f"evaluation.{key}: {name!r} is not a column that can be sliced ({', '.join(known) or 'none'})"
                    )
        return self

    @model_validator(mode="after")
    def _faults_are_of_columns(self) -> "Problem":
        for place, fault in enumerate(self.source.faults if isinstance(self.source, SimulatorSource) else ()):
            columns = self.tables[fault.table].columns if fault.table in self.tables else {}
            if fault.column not in columns:
                raise ValueError(
                    f"source.faults.{place}: {fault.table} has no column {fault.column!r} ({', '.join(columns)})"
                )
        return self

    @model_validator(mode="after")
    def _challenger_is_sent_by_one(self) -> "Problem":
        if self.canary is not None and self.policies.challenger > 0:
            raise ValueError(
                f"canary: policies.challenger = {self.policies.challenger:g} gives the challenger a share of the "
                f"units, and so does the ramp; leave one of them out"
            )
        return self

    @model_validator(mode="after")
    def _live_world_has_days(self) -> "Problem":
        source = self.source
        if not isinstance(source, SimulatorSource) or source.live is None:
            return self
        start, end = source.live.start, source.end(self.history_start)
        if not self.history_start < start <= end:
            raise ValueError(
                f"source.live: start {start} must be after history_start {self.history_start}, and not after "
                f"the world's end {end}"
            )
        if self.label.window < LONGEST_SIMULATED_DELAY:
            raise ValueError(
                "predict.label.window must be 7d or longer where source.live is given: the simulator's users take up "
                "to that long to unsubscribe"
            )
        return self

    @property
    def schema(self) -> Schema:  # type: ignore[override]  # Pydantic 1's name for the JSON schema, unused here
        """The tables, with what follows from them."""
        return Schema.model_construct(tables=self.tables)

    @property
    def label(self) -> ColumnLabel | AggregateLabel:
        """The outcome that is predicted."""
        return self.predict.label

    @property
    def decision(self) -> Decision:
        """What one row of every table of features, scores and decisions stands for, and its columns."""
        return decision_of(self.schema, self.predict)

    @property
    def themes(self) -> tuple[str, ...]:
        return self._values_of("theme")

    @property
    def categories(self) -> tuple[str, ...]:
        return self._values_of("category")

    def _values_of(self, column: str) -> tuple[str, ...]:
        stated = (each.values for each in self.features.declared.values() if each.split == f"email.{column}")
        rules = (rule.values for rule in self.rules if isinstance(rule, OneOf) and rule.column == column)
        return next((values for values in (*stated, *rules) if values), ())

    @property
    def core_table(self) -> str:
        """The joined core table: decisions beside their entities."""
        return f"core_{self.decision.unit}s"

    @property
    def features_table(self) -> str:
        """The table of features, a row per decision."""
        return f"{self.decision.noun}_features"

    @property
    def has_email_tables(self) -> bool:
        """Whether the tables are those of the email case: stores, plans and the API still know these alone."""
        return {"user_profiles", "email_content", "user_emails"} == set(self.tables) and self.chooses

    @property
    def chooses(self) -> bool:
        """Whether a decision chooses among candidates."""
        return isinstance(self.predict, PredictEvent) and self.predict.choose is not None

    @property
    def scored_in_words(self) -> str:
        """What is scored for a day."""
        decision = self.decision
        if decision.choose:
            return f"every {decision.unit} with every candidate {decision.choose}"
        return f"every {decision.noun} of the day before" if decision.is_event else f"every {decision.unit}"

    @property
    def planned_in_words(self) -> str:
        """What the plan of a day says."""
        decision = self.decision
        if decision.choose:
            return f"which {decision.choose} each {decision.unit} gets, by which policy and with which probability"
        return f"on which {plural(decision.noun)} to act, by the costs"

    @property
    def slices(self) -> tuple[str, ...]:
        """The columns of entities by whose values a model is judged."""
        if self.evaluation.slices is not None:
            return self.evaluation.slices
        tables = [self.schema.entity(noun) for noun in self.decision.nouns]
        return tuple(dict.fromkeys(name for table in tables if table for name in table.of_kind("category")))

    @property
    def sliceable(self) -> list[str]:
        """Columns of the entities of a decision by whose values its rows can be told apart."""
        tables = [self.schema.entity(noun) for noun in self.decision.nouns]
        kinds: tuple[ColumnKind, ...] = ("category", "flag", "number", "integer")
        return list(dict.fromkeys(name for table in tables if table for name in table.of_kind(*kinds)))

    @property
    def key(self) -> str:
        """Under which name tables, models and champion are kept.

        A simulated world and real tables never share them, whatever the problem: a champion of the one must
        not score the other.
        """
        return f"{self.name}_simulated" if isinstance(self.source, AnySimulator) else self.name

    @property
    def clock(self) -> Literal["wall", "data"]:
        """What the API takes for now."""
        return self.serving.clock or ("data" if isinstance(self.source, AnySimulator) else "wall")

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The contract in force, by table: what every table must keep, unless the file says otherwise, and the rest."""
        return rules_in_force(self.schema, self.predict, self.history_start, self.contracts)
