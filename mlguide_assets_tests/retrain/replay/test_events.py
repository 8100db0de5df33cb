"""What events add up to: false alarms, and the answer to each planted event."""

from mlguide_assets.retrain.replay.events import Answer, Event, Kind, answers, false_alarms
from mlguide_assets.retrain.replay.outcome import explained_by
from mlguide_assets.retrain.replay.scenario import load_scenario


def noticed(day: int, kind: Kind, *, alarm: bool = True) -> Event:
    return Event(day, "noticed", kind, f"{kind} on day {day}", alarm)


def test_an_alarm_before_anything_was_planted_is_false() -> None:
    early, late = noticed(3, "drift"), noticed(31, "drift")
    assert false_alarms([early, late], lambda day, _: day >= 30) == [early]


def test_only_alarms_can_be_false() -> None:
    promoted = Event(3, "action", "decision", "version 2 is promoted")
    assert false_alarms([promoted], lambda *_: False) == []


def test_the_answer_is_what_came_first_and_can_follow() -> None:
    planted = Event(30, "planted", "planted", "a column arrives empty")
    before, other, first, second = noticed(2, "data"), noticed(31, "drift"), noticed(32, "data"), noticed(40, "data")
    trained = Event(33, "action", "data", "something was done")
    events = [before, planted, other, first, trained, second]
    found = answers(events, lambda event, _: event.kind == "data")
    assert found == [Answer(planted, first, trained)]


def test_what_nobody_noticed_has_no_answer() -> None:
    planted = Event(30, "planted", "planted", "a column arrives empty")
    assert answers([planted], lambda *_: True) == [Answer(planted, None, None)]


def test_a_person_who_promotes_is_answered_by_a_rollback_not_by_another_decision() -> None:
    scenario = load_scenario("harmful_challenger")
    planted = Event(32, "planted", "planted", scenario.plants[-1].in_words)
    rolled_back = Event(40, "action", "rollback", "rolled back", alarm=True)
    events = [planted, Event(33, "action", "decision", "version 4 is refused"), rolled_back]
    assert answers(events, explained_by(scenario))[0].acted == rolled_back
