"""The result of a replay on a terminal."""

from rich.console import Console
from rich.table import Table

from mlguide_assets.english import counted
from mlguide_assets.retrain.replay.outcome import Outcome, in_words, worth_in_words
from mlguide_assets.retrain.replay.scenario import Scenario


def print_outcome(outcome: Outcome, scenario: Scenario, screen: Console) -> None:
    """Planted events with their answers, false alarms, counts, and what the decisions were worth."""
    screen.print(f"Scenario  {outcome.scenario}: {scenario.statement}")
    screen.print(
        f"Replayed  {counted(outcome.days, 'day')} from {outcome.start}, seed {outcome.seed}, in "
        f"{outcome.seconds:,.0f} s"
    )
    if outcome.answers:
        screen.print(_answers(outcome))
    _false_alarms(outcome, screen)
    screen.print(
        f"Retrainings {outcome.retrainings}, promotions {outcome.promotions}, rollbacks {outcome.rollbacks}, "
        f"days with a harmful model in production {outcome.harmful_days}"
    )
    if outcome.experiment:
        screen.print(f"Experiment  {outcome.experiment['verdict']}: {outcome.experiment['reason']}")
    for line in worth_in_words(outcome):
        screen.print(line)


def _answers(outcome: Outcome) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("Planted", "Noticed", "Done"):
        table.add_column(name, overflow="fold", ratio=1)
    for answer in outcome.answers:
        table.add_row(*(in_words(event) for event in (answer.planted, answer.noticed, answer.acted)))
    return table


def _false_alarms(outcome: Outcome, screen: Console) -> None:
    if not outcome.false_alarms:
        screen.print("False alarms  none")
        return
    screen.print(f"False alarms  {len(outcome.false_alarms)}")
    for event in outcome.false_alarms:
        screen.print(f"  {in_words(event)}")
