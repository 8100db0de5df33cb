"""What one row of the tables of features, scores and decisions stands for, and how its columns are called."""

import re
from dataclasses import dataclass
from datetime import timedelta

from mlguide_assets.define.prediction import Predict, PredictEvent
from mlguide_assets.define.schema import Schema
from mlguide_assets.english import counted, plural, with_article

CUT_OFF = "as_of"
"""The time of a decision about an entity at a cut-off."""

PARENTS_TIME = "at"
"""The time of an event that has none of its own."""

TAKEN = frozenset(
    {
        *("label", "matured_at", "as_of", "unit_id", "decided_at", "probability", "scoring_date", "decision"),
        *("model_version", "feature_time", "run_id"),
    }
)
"""What tables of features, scores and predictions call columns of their own: no key and no feature is called so."""

OWN_TABLES = frozenset(
    {
        *("problem_definition", "contract_results", "quarantined_rows", "feature_declarations", "landed_days"),
        *("training_recipe", "tuning_trials", "candidate_model", "test_predictions", "behaviour_results"),
        *("slice_metrics", "group_metrics", "model_evaluation", "model_explanations", "backtest_windows"),
        *("staleness_curve", "registered_model", "promotion_decisions", "model_card", "champion_model"),
        *("challenger_model", "online_store", "batch_predictions", "served_predictions", "prediction_log"),
        *("request_faults", "online_parity", "offline_and_online", "data_drift", "model_performance"),
        *("estimated_performance", "performance_gap", "performance_verdicts", "serving_health"),
        *("experiment_assignments", "experiment_results", "exposures", "canary_steps", "champion_watch"),
        *("champion_rollback", "retraining_decisions", "gate_criteria"),
    }
)
"""The assets of every problem: no table of a source is called so. Those that follow from its nouns come on top."""


def may_be_own(table: str) -> bool:
    """Whether a problem, whatever its nouns, may have an asset of this name.

    >>> may_be_own("batch_predictions"), may_be_own("customer_features"), may_be_own("customers")
    (True, True, False)
    """
    of_nouns = r"core_.+|.+_(features|feature_store|plan)|best_.+_per_.+"
    return table.lower() in OWN_TABLES or re.fullmatch(of_nouns, table.lower()) is not None


def id_column(noun: str) -> str:
    """How the ids of an entity are called in every table after the source's.

    >>> id_column("user")
    'user_id'
    """
    return f"{noun}_id"


@dataclass(frozen=True)
class Decision:
    """A decision of a problem.

    Attributes:
        noun: what is decided about once: an event (send) or an entity at a cut-off (customer).
        nouns: the entities that it concerns, in the order of the problem file.
        time: the column of its instant.
        keys: the columns that make a row unique.
        choose: the noun among whose candidates a decision chooses, if it chooses.
    """

    noun: str
    nouns: tuple[str, ...]
    time: str
    keys: tuple[str, ...]
    choose: str | None = None

    @property
    def singular(self) -> str:
        """One of them: `send`, or `decision` where it is about an entity at a cut-off."""
        return self.noun if self.is_event else "decision"

    @property
    def plural(self) -> str:
        """Many of them: `sends`, or `decisions` where they are about an entity at cut-offs."""
        return plural(self.singular)

    def counted(self, number: int) -> str:
        """A number of decisions, as English writes it.

        >>> Decision("send", ("user", "email"), "delivered_at", ()).counted(1)
        '1 send'
        """
        return counted(number, self.singular)

    @property
    def in_words(self) -> str:
        """What one row is.

        >>> Decision("send", ("user", "email"), "delivered_at", ("user_id", "email_id", "delivered_at")).in_words
        'a send: its user and email, at delivered_at'
        """
        one = with_article(self.noun)
        return f"{one}: its {' and '.join(self.nouns)}, at {self.time}" if self.is_event else f"{one} at a cut-off"

    @property
    def ids(self) -> tuple[str, ...]:
        """The id columns of its entities."""
        return tuple(id_column(noun) for noun in self.nouns)

    @property
    def unit(self) -> str:
        """The entity whose decisions depend on each other: intervals and folds are grouped by it."""
        return self.nouns[0]

    @property
    def unit_id(self) -> str:
        return id_column(self.unit)

    @property
    def choose_id(self) -> str | None:
        """The id column of what is chosen; None where nothing is."""
        return id_column(self.choose) if self.choose else None

    @property
    def is_event(self) -> bool:
        """Whether it is about something that happens, rather than about an entity at a cut-off."""
        return self.nouns != (self.noun,)

    @property
    def actions(self) -> tuple[str, str]:
        """What is decided: to act, and not to.

        Where a decision chooses, its noun is what is done to the unit (an email is sent, an offer is offered), and a
        likely positive outcome speaks against it. Else it is what one acts upon.

        >>> Decision("send", ("user", "email"), "delivered_at", (), "email").actions
        ('send', 'withhold')
        >>> Decision("payment", ("card", "shop"), "paid", ()).actions
        ('act', 'leave')
        """
        return (self.noun, "withhold") if self.choose else ("act", "leave")

    @property
    def own_keys(self) -> tuple[str, ...]:
        """The key columns of an event beside its entities and its time, such as its number.

        >>> Decision("payment", ("card",), "paid", ("card_id", "paid", "payment")).own_keys
        ('payment',)
        """
        return tuple(name for name in self.keys if name not in (*self.ids, self.time))

    @property
    def above(self) -> str:
        """The action where the probability reaches the threshold.

        >>> Decision("send", ("user", "email"), "delivered_at", (), "email").above
        'withhold'
        """
        return self.actions[1] if self.choose else self.actions[0]

    @property
    def above_done(self) -> str:
        """What has happened to such a one: `withheld`, or `acted on`."""
        return "withheld" if self.choose else "acted on"

    @property
    def above_doing(self) -> str:
        """Doing so to one: `withholding`, or `acting on`."""
        return "withholding" if self.choose else "acting on"

    @property
    def stored(self) -> tuple[str, ...]:
        """The entities whose state is kept day by day. Candidates are few: theirs is computed when it is needed."""
        return tuple(noun for noun in self.nouns if noun != self.choose)

    @property
    def store_tables(self) -> dict[str, str]:
        """Noun of each stored entity → the table with its state of every scored day."""
        return {noun: f"{noun}_feature_store" for noun in self.stored}

    @property
    def best_table(self) -> str | None:
        """The table with the candidate that suits each unit best; None where nothing is chosen."""
        return f"best_{self.choose}_per_{self.unit}" if self.choose else None

    @property
    def plan_table(self) -> str:
        """The table that says for a day what is done with whom."""
        return f"{self.noun}_plan"

    @property
    def scored_keys(self) -> tuple[str, ...]:
        """The key of the predictions of a day: all key columns of an event, else the ids, where the day is the time."""
        return self.ids if self.choose or not self.is_event else self.keys

    @property
    def order(self) -> tuple[str, ...]:
        """The columns by which rows are ordered: time first."""
        return (self.time, *(name for name in self.keys if name != self.time))


def decision_of(schema: Schema, predict: Predict) -> Decision:
    """The decision of what is predicted; all nouns are known to the schema."""
    if not isinstance(predict, PredictEvent):
        return Decision(predict.each, (predict.each,), CUT_OFF, (id_column(predict.each), CUT_OFF))
    event = schema.event(predict.each)
    # Who a choice is made for comes before what is chosen, in whatever order the file names them.
    nouns = tuple(sorted(event.of, key=lambda noun: noun == predict.choose))
    time = event.own_time or PARENTS_TIME
    ids = {event.of[noun]: id_column(noun) for noun in nouns}
    # A key of its own (a payment's number) is one more column; what it shares with `of` has its name there.
    own = [ids.get(name, name) for name in event.key]
    keys = tuple(dict.fromkeys([*ids.values(), time, *own]))
    return Decision(predict.each, nouns, time, keys, predict.choose)


def final_after(schema: Schema, predict: Predict) -> timedelta:
    """How long after a decision its outcome is final: all that decides it has happened, and has arrived."""
    if isinstance(predict, PredictEvent):
        return predict.label.window + (schema.event(predict.each).arrives_within or timedelta())
    ahead = [condition for condition in (predict.label, predict.having) if condition]
    return max(
        (condition.within or timedelta()) + (schema.event(condition.count).arrives_within or timedelta())
        for condition in ahead
    )
