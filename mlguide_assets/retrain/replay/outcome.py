"""What a replay adds up to: events, counts, and what the decisions were worth in truth."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlguide_assets.deploy.gate.history import ABORTED, PROMOTED, ROLLED_BACK, decisions
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.retrain.replay.events import Answer, Event, answers, false_alarms
from mlguide_assets.retrain.replay.observing import Observer
from mlguide_assets.retrain.replay.rounding import rounded
from mlguide_assets.retrain.replay.scenario import ANSWERS, EXPLAINS, Scenario
from mlguide_assets.retrain.replay.truth import Worth


@dataclass(frozen=True)
class Outcome:
    """The result of a replay.

    Attributes:
        retrainings: trainings after the first one.
        promotions: versions that became champion after the first one.
        rollbacks: champions that were rolled back, and canaries that were aborted.
        harmful_days: days that ended with a model in production that had learned from meaningless labels.
        experiment: verdict, ratio of the primary metric with its interval, and the true ratio; None without one.
        worth: of the champion's choices, on the days that were looked at.
        seconds: that the replay took.
    """

    scenario: str
    seed: int
    days: int
    start: str
    events: tuple[Event, ...]
    answers: tuple[Answer, ...]
    false_alarms: tuple[Event, ...]
    champions: Mapping[int, str | None]
    retrainings: int
    promotions: int
    rollbacks: int
    harmful_days: int
    worth: Worth
    experiment: Mapping[str, Any] | None = None
    seconds: float = 0.0

    def taking(self, seconds: float) -> "Outcome":
        return replace(self, seconds=seconds)

    def to_json(self) -> dict[str, Any]:
        """As `mlguide replay --json` prints it; but for `seconds`, the same for the same scenario, days and seed."""
        worth = self.worth
        return {
            "days": self.days,
            "scenario": self.scenario,
            "seed": self.seed,
            "events": [event.to_json() for event in self.events],
            "false_alarms": len(self.false_alarms),
            "retrainings": self.retrainings,
            "promotions": self.promotions,
            "rollbacks": self.rollbacks,
            "harmful_days": self.harmful_days,
            "experiment": self.experiment,
            "saved_per_1000": {
                "value": rounded(worth.per_1000(worth.expected_saved)),
                "truth": rounded(worth.per_1000(worth.saved)),
            },
            "regret_per_1000": rounded(worth.per_1000(worth.regret)),
            "seconds": round(self.seconds, 1),
        }


def outcome_of(
    lake: Lake,
    scenario: Scenario,
    observer: Observer,
    events: Sequence[Event],
    worth: Worth,
    *,
    seed: int,
    days: int,
    start: str,
    experiment: Mapping[str, Any] | None = None,
) -> Outcome:
    """Add up what was observed."""
    decided = decisions(lake)
    harmful = observer.harmful(scenario)
    made = [row for row in decided if row["verdict"] == PROMOTED]
    return Outcome(
        scenario=scenario.name,
        seed=seed,
        days=days,
        start=start,
        events=tuple(events),
        answers=tuple(answers(events, explained_by(scenario))),
        false_alarms=tuple(false_alarms(events, scenario.explains)),
        champions=dict(observer.champions),
        retrainings=max(len(observer.trained_on) - 1, 0),
        promotions=max(len(made) - 1, 0),
        rollbacks=sum(row["verdict"] in (ROLLED_BACK, ABORTED) for row in decided),
        harmful_days=sum(version in harmful for version in observer.champions.values()),
        worth=worth,
        experiment=experiment,
    )


def worth_in_words(outcome: Outcome) -> list[str]:
    """What the champion's choices save and what they lack, in sentences."""
    worth = outcome.worth
    saved, expected, regret = (worth.per_1000(each) for each in (worth.saved, worth.expected_saved, worth.regret))
    if saved is None or expected is None or regret is None:
        return ["No day was scored, so nothing can be said of what the decisions were worth."]
    return [
        f"Against the same email for all, the champion's choices save {saved:.1f} users per 1,000 sends in truth "
        f"({expected:.1f} by its own probabilities).",
        f"Against the best choice for each user, they cost {regret:.1f} more per 1,000 sends, in the unit of costs.",
    ]


def in_words(event: Event | None) -> str:
    """An event with its day, in words."""
    return f"day {event.day}: {event.what}" if event else "nothing"


def explained_by(scenario: Scenario) -> Callable[[Event, Event], bool]:
    """Whether an event can follow from a planted one, by their kinds; the first training follows from none."""
    whats = {plant.in_words: plant.what for plant in scenario.plants}

    def explained(event: Event, planted: Event) -> bool:
        what = whats.get(planted.what)
        if what is None or event.day == 0:
            return False
        return event.kind in ANSWERS[what] if event.side == "action" else event.alarm and event.kind in EXPLAINS[what]

    return explained
