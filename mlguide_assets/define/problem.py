"""The problem: what is decided, what is predicted, from which tables, evaluated how.

This is the schema of a problem file; its sections are in the modules beside this one. Reading one from disk is
`loading.py`; every later stage takes the validated `Problem` and nothing else.
"""

from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mlguide_assets.define.conditions import check_comparisons
from mlguide_assets.define.contracts import Rule
from mlguide_assets.define.decision import OWN_TABLES, Decision, decision_of, final_after
from mlguide_assets.define.directions import movable_features, why_without_direction
from mlguide_assets.define.entity_features import entity_features
from mlguide_assets.define.features import Features
from mlguide_assets.define.operations import Retraining, Serving, Watching
from mlguide_assets.define.policies import Exploration, Policies, Scoring
from mlguide_assets.define.prediction import AggregateLabel, ColumnLabel, Predict, PredictEvent
from mlguide_assets.define.promotion import Canary, Experimenting, Gate
from mlguide_assets.define.references import check_references
from mlguide_assets.define.rules import check_rules, rules_in_force
from mlguide_assets.define.schema import ColumnKind, Schema, Strict, Table, TableName
from mlguide_assets.define.sources import LONGEST_SIMULATED_DELAY, AnySimulator, SimulatorSource, Source
from mlguide_assets.define.training import Behaviour, Costs, Evaluation, Leakage, Metric, Training, Tuning
from mlguide_assets.define.values import NAME_PATTERN, OWNER_PATTERN
from mlguide_assets.english import plural, with_article


class Problem(Strict):
    """A validated problem file."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    statement: str
    hypothesis: str
    owner: Annotated[str, Field(pattern=OWNER_PATTERN)] = "team:mlguide"
    history_start: date
    engine: Literal["duckdb", "spark"] = Field(
        default="duckdb",
        description="What computes the tables that are as large as the decisions: DuckDB, or Spark at MLGUIDE_SPARK.",
    )
    source: Source
    tables: dict[TableName, Table] = Field(min_length=1)
    predict: Predict
    features: Features = Features()
    metric: Metric = Metric()
    costs: Costs
    evaluation: Evaluation = Evaluation()
    training: Training = Training()
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
        check_rules(self.contracts, self.schema, self.predict)
        check_comparisons(self.schema, self.predict, self.features, self.contracts)
        return self

    @model_validator(mode="after")
    def _tables_are_called_as_no_asset_is(self) -> "Problem":
        decision = self.decision
        made = (self.core_table, self.features_table, decision.plan_table, decision.best_table or "")
        own = {*OWN_TABLES, *(name.lower() for name in (*made, *decision.store_tables.values()))}
        for name, table in self.tables.items():
            if name.lower() in own:
                raise ValueError(
                    f"tables: {name!r} is the name of a table that is made from yours; call it source_{name} and add "
                    f"from: {table.from_ or name}"
                )
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
    def _directions_are_of_features(self) -> "Problem":
        for place, direction in enumerate(self.behaviour.directions):
            known, name = self.movable, direction.feature
            if name not in known:
                declared = self.features.declared.get(name)
                why = why_without_direction(declared, self.schema) if declared else None
                raise ValueError(
                    f"behaviour.directions.{place}.feature: {name!r} is not a feature that can be raised "
                    f"({', '.join(known) or 'none'}): {f'{why}; ' if why else ''}name a declared feature of numbers, "
                    f"or a column of numbers"
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
    def _only_choices_are_compared(self) -> "Problem":
        if self.chooses:
            return self
        asked = {
            "canary": self.canary is not None,
            "experiment": self.experiment.file is not None or self.experiment.required,
            "policies": self.policies.champion < 1,
            "exploration.share": self.exploration.share > 0,
        }
        for key in (key for key, given in asked.items() if given):
            raise ValueError(
                f"{key}: nothing is chosen for {with_article(self.decision.noun)}, so there are no ways to choose "
                "that could be "
                f"compared; leave it out, or name what is chosen under predict.choose"
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
    def core_table(self) -> str:
        """The joined core table: decisions beside their entities."""
        return f"core_{plural(self.decision.unit)}"

    @property
    def features_table(self) -> str:
        """The table of features, a row per decision."""
        return f"{self.decision.noun}_features"

    @property
    def chooses(self) -> bool:
        """Whether a decision chooses among candidates."""
        return isinstance(self.predict, PredictEvent) and self.predict.choose is not None

    @property
    def final_after(self) -> timedelta:
        """How long after a decision its outcome is final, late rows included (`arrives_within`)."""
        return final_after(self.schema, self.predict)

    @property
    def ends_unit(self) -> bool:
        """Whether a positive outcome ends the unit, so that no action reaches it afterwards."""
        return isinstance(self.label, ColumnLabel) and self.label.ends_unit

    @property
    def deciding_event(self) -> str:
        """The event that decides outcomes: that of each decision, or the one that a decision's future is counted by."""
        return self.predict.each if isinstance(self.predict, PredictEvent) else self.predict.label.count

    @property
    def action_tables(self) -> tuple[str, ...]:
        """The tables with what was done with units, and with the units themselves, where a decision chooses."""
        unit = self.schema.table_of(self.decision.unit)
        return tuple(dict.fromkeys((*self.schema.tables_of_event(self.decision.noun), *((unit,) if unit else ()))))

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
        """The features by whose values a model is evaluated: columns of entities."""
        if self.evaluation.slices is not None:
            return self.evaluation.slices
        return tuple(self._entity_features("category"))

    @property
    def sliceable(self) -> list[str]:
        """The features that are columns of a decision's entities, by whose values its rows can be sliced."""
        return self._entity_features("category", "flag", "number", "integer")

    def _entity_features(self, *kinds: ColumnKind) -> list[str]:
        names = entity_features(self.schema, self.predict, self.features.declared)
        tables = {noun: self.schema.entity(noun) for noun in self.decision.nouns}
        return [names[noun, column] for noun, table in tables.items() if table for column in table.of_kind(*kinds)]

    @property
    def movable(self) -> list[str]:
        """The features whose direction can be tested: those that a change of the source raises."""
        return movable_features(self.schema, self.predict, self.features, self.contracts)

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
