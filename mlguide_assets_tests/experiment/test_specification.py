"""Experiment files: what a valid one says, and every kind of mistake as one sentence that says what to do."""

from datetime import timedelta
from pathlib import Path

import pytest

from mlguide_assets.define.loading import dump_problem, experiment_file, load_problem, parse_problem
from mlguide_assets.errors import InputError
from mlguide_assets.experiment.specification import load_experiment
from mlguide_assets_tests.experiment.files import PROBLEM, VALID, experiment, parse, text
from mlguide_assets_tests.samples import sample_problem

ARM = "{name: a, policy: generic, weight: 0.5}"

MISTAKES = {
    "misspelt key": ({"hold_out": "0.1"}, "hold_out", "did you mean 'holdout'?"),
    "unknown column": ({"eligibility": "[{column: agee, min: 18}]"}, "line 9, eligibility.0", "'agee' is no column"),
    "text as a number": ({"eligibility": "[{column: country, min: 1}]"}, "eligibility.0", "holds no numbers"),
    "both kinds of condition": ({"eligibility": "[{column: age, values: ['1'], min: 1}]"}, "eligibility.0", "either"),
    "reversed range": ({"eligibility": "[{column: age, min: 30, max: 20}]"}, "eligibility.0", "must not be above"),
    "one arm": ({"arms": f"[{ARM}]"}, "arms", "one arm has nothing to be compared with"),
    "weights that do not sum": (
        {"arms": f"[{ARM}, {{name: generic, policy: champion, weight: 0.6}}]"},
        "arms",
        "the weights sum to 1.1; they must sum to 1",
    ),
    "weight of nothing": ({"arms": f"[{ARM}, {{name: b, policy: random, weight: 0}}]"}, "arms.1.weight", "0 is not"),
    "arm twice": ({"arms": f"[{ARM}, {ARM}]"}, "arms", "'a' is stated twice"),
    "unknown policy": ({"arms": "[{name: a, policy: best, weight: 0.5}]"}, "arms.0.policy", "'best' is not valid"),
    "unknown control": ({"control": "placebo"}, "control", "none of the arms (generic, personal)"),
    "alpha of 2": ({"alpha": "2"}, "alpha", "2 is not valid"),
    # The analysis would refuse it, at the first look.
    "alpha of a half": ({"alpha": "0.5"}, "alpha", "less than 0.5"),
    "one salt for both": ({"salts": "{inclusion: a, arm: a}"}, "salts", "two different salts"),
    "unknown metric": ({"primary": "{metric: clicks, better: lower, smallest_effect: 0.1}"}, "primary", "'clicks'"),
    "primary as guardrail": (
        {"guardrails": "[{metric: outcome, better: lower, margin: 0.1}]"},
        "guardrails",
        "primary",
    ),
    "no margin": ({"guardrails": "[{metric: actions, better: lower}]"}, "guardrails.0.margin", "this key is missing"),
    "no look": ({"looks": "[]"}, "looks", "whole days after the start"),
    "looks in hours": ({"looks": "[36h]"}, "looks", "whole days after the start"),
    "looks reversed": ({"looks": "[28d, 21d]"}, "looks", "later than the one before"),
    "no look sees an outcome": ({"looks": "[7d, 10d]"}, "line 17, looks", "no outcome is final before 14 days"),
    "ramp that shrinks": ({"ramp": "[{share: 0.5, days: 1}, {share: 0.2}]"}, "ramp", "so that no unit leaves"),
    "ramp without days": ({"ramp": "[{share: 0.5}, {share: 1}]"}, "ramp", "needs its days"),
    "dates reversed": ({"end": "2024-02-01"}, "line 22, end", "2024-02-01 must be after the start, 2024-03-01"),
    "end before the last look": ({"end": "2024-03-20"}, "line 22, end", "before the last look, 2024-04-05"),
    "empty slice": ({"exclusion": "{first: 0.5, last: 0.5}"}, "exclusion", "must be below"),
    "a look after ten years": ({"looks": "[28d, 3651d]"}, "line 17, looks.1", "write 3650d or less"),
    "a look beyond the calendar": ({"looks": "[28d, 900000000d]"}, "line 17, looks.1", "write 3650d or less"),
    "a window of centuries": ({"outcome_window": "999999d"}, "line 16, outcome_window", "write 3650d or less"),
    "a start at the end of the calendar": ({"start": "9999-12-01"}, "line 21, start", "or equal to 2199-12-31"),
    "an end after it": ({"end": "2200-01-01"}, "line 22, end", "or equal to 2199-12-31"),
    "a version beyond integers": ({"version": str(2**63)}, "line 2, version", "or equal to 9007199254740992"),
    "no number as a bound": ({"eligibility": "[{column: age, min: .nan}]"}, "eligibility.0.min", "finite number"),
    "no number as an upper bound": ({"eligibility": "[{column: age, max: .inf}]"}, "eligibility.0.max", "finite"),
    "the salt of the hold-out": ({"salts": "{inclusion: a, arm: holdout}"}, "line 4, salts.arm", "fewer_losses/1/arm"),
    "another unit": ({"unit": "email_id"}, "line 22, unit", "write user_id"),
    "alpha in percent": ({"alpha": "5%"}, "line 14, alpha", "'5%' is not valid: write a number, such as 0.05."),
    "power in percent": ({"power": "80"}, "line 15, power", "less than 1; 80% is written 0.8."),
    "a number in quotes": ({"power": "'80'"}, "line 15, power", "'80' is not valid: input should be less than 1."),
    "a ramp in percent": ({"ramp": "[{share: 10, days: 2}]"}, "ramp.0.share", "10% is written 0.1."),
    "a share in percent": ({"holdout": "10"}, "line 22, holdout", "or equal to 0.5; 10% is written 0.1."),
    "a decimal comma": ({"alpha": "'0,05'"}, "line 14, alpha", "write a number, such as 0.05."),
    "a word for a number": ({"version": "v1"}, "line 2, version", "'v1' is not valid: write a whole number."),
    "days with a unit": ({"ramp": "[{share: 0.1, days: 2d}]"}, "ramp.0.days", "write a whole number."),
    "a name with spaces": ({"name": "My test"}, "line 1, name", "only a to z, 0 to 9 and _, beginning with a letter"),
    "a local date": ({"start": "01.03.2024"}, "line 21, start", "write a day such as 2024-12-31."),
    "a day with a time": ({"start": "2024-03-01 10:00"}, "line 21, start", "write a day such as 2024-12-31."),
    "the salt of a group": ({"salts": "{inclusion: exclusion/experiments, arm: a}"}, "salts.inclusion", "'exclusion/"),
    "the salt of a canary": ({"salts": "{inclusion: a, arm: canary/7}"}, "salts.arm", "skews the arms"),
    "no window": ({"outcome_window": "0d"}, "line 16, outcome_window", "longer than zero"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence_with_place_and_fix(mistake: str) -> None:
    changes, place, fix = MISTAKES[mistake]
    with pytest.raises(InputError) as refused:
        parse(text(**changes))
    message = str(refused.value)
    assert message.startswith("test.yaml")
    assert place in message
    assert fix in message
    assert message.endswith((".", "?"))
    assert "\n" not in message


def test_the_window_is_the_problems_where_the_file_says_none() -> None:
    silent = parse(VALID.replace("outcome_window: 7d\n", ""))
    assert silent.window(PROBLEM) == PROBLEM.label.window
    assert experiment(outcome_window="3d").closes_after(PROBLEM) == timedelta(days=3) + PROBLEM.label.window


def test_comments_and_order_of_a_file_are_not_its_content() -> None:
    lines = VALID.splitlines()
    moved = "\n".join([*lines[1:], lines[0], "# a comment"])
    assert parse(moved).fingerprint == parse(VALID).fingerprint
    assert experiment(alpha="0.01").fingerprint != parse(VALID).fingerprint


def test_slices_of_one_group_are_disjoint_or_overlap_and_other_groups_always_do() -> None:
    low, high = (
        experiment(exclusion=f"{{first: {first}, last: {last}}}").exclusion for first, last in ((0, 0.5), (0.5, 1))
    )
    other = experiment(exclusion="{group: other, first: 0.5, last: 1}").exclusion
    assert not low.overlaps(high)
    assert low.overlaps(low)
    assert low.overlaps(experiment().exclusion)
    assert low.overlaps(other)


def test_a_file_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No experiment .*none\.yaml': it is neither a file nor"):
        load_experiment(str(tmp_path / "none.yaml"), PROBLEM)


def test_the_experiment_that_ships_is_valid_for_its_problem() -> None:
    problem = load_problem("planeswalker")
    assert problem.experiment.file is not None
    shipped, _ = load_experiment(problem.experiment.file, problem)
    assert {arm.policy for arm in shipped.arms} == {"generic", "champion"}
    assert load_problem("guide").experiment.file is None


def test_the_file_that_a_problem_names_is_beside_it_or_shipped(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(VALID)
    for named, found in (("own.yaml", tmp_path / "own.yaml"), ("personalised", Path("personalised"))):
        text = dump_problem(sample_problem("nowhere", experiment={"file": named}))
        kept = parse_problem(text.encode(), tmp_path / "problem.yaml")
        assert kept.experiment.file == str(found)
    assert experiment_file("personalised").is_file()
