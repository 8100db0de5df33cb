"""A valid experiment file, and how tests change it."""

from pathlib import Path
from typing import Any

from mlguide_assets.define.problem import Problem
from mlguide_assets.experiment.specification import Experiment, parse_experiment
from mlguide_assets_tests.samples import sample_problem

VALID = """\
name: fewer_losses
version: 1
hypothesis: Actions chosen per unit lose fewer units.
salts: {inclusion: fewer/inclusion, arm: fewer/arm}
arms:
  - {name: generic, policy: generic, weight: 0.5}
  - {name: personal, policy: champion, weight: 0.5}
control: generic
eligibility:
  - {column: age, min: 18}
primary: {metric: outcome, better: lower, smallest_effect: 0.2}
guardrails:
  - {metric: actions, better: higher, margin: 0.3}
alpha: 0.05
power: 0.8
outcome_window: 7d
looks: [21d, 28d, 35d]
ramp:
  - {share: 0.1, days: 2}
  - {share: 1}
start: 2024-03-01
"""

ON_CHALLENGER = "[{name: generic, policy: champion, weight: 0.5}, {name: personal, policy: challenger, weight: 0.5}]"
"""Arms whose treatment is the challenger."""

PROBLEM: Problem = sample_problem("nowhere")


def experiment(**changes: str) -> Experiment:
    """The valid experiment with the text of some keys replaced: `experiment(alpha="0.01")`."""
    return parse(text(**changes))


def text(**changes: str) -> str:
    """The text of the valid file with other values for some keys; a key that it lacks is added."""
    blocks: dict[str, list[str]] = {}
    for line in VALID.splitlines():
        if not line.startswith(" "):
            key = line.partition(":")[0]
        blocks.setdefault(key, []).append(line)
    for key, value in changes.items():
        blocks[key] = [f"{key}: {value}"]
    return "\n".join(line for lines in blocks.values() for line in lines) + "\n"


def parse(content: str, problem: Any = PROBLEM) -> Experiment:
    return parse_experiment(content.encode(), Path("test.yaml"), problem)
