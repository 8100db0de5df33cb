"""How often experiments and replays are right."""

import json

from mlguide_assets_tests.benchmarks.replays import (
    BUDGET,
    DAYS,
    GIGABYTES,
    SECONDS,
    SENDS_OF_MANY,
    binomial_at_least,
    fulfilled,
    holds_the_truth,
    in_words,
    play,
)
from mlguide_assets_tests.benchmarks.rows import Row, printed_by, within


def figures() -> list[Row]:
    """The figures of 75,000 test rows, of 90 days of 3,000 sends, and of a window of a million rows by 30 columns."""
    budgets = {"slices": 10, "decisions": 3, "intervals of five models": 5, "permutations": 3}
    budgets |= {"ninety days of performance": 5, "drift of a million rows": 3}
    got = json.loads(printed_by(["-m", "mlguide_assets_tests.benchmarks.figures"]))
    return [
        (f"figures: {name}", f"{seconds:.1f} s", f"≤ {budgets[name]} s", within(seconds <= budgets[name]))
        for name, seconds in got.items()
    ]


def error_rates() -> list[Row]:
    """The path from assignment to verdict where no arm does anything, and the assignment alone."""
    got = json.loads(printed_by(["-m", "mlguide_assets_tests.benchmarks.experiments", "200"]))
    low, high = got["bounds"]
    seconds = got["assign_a_million_seconds"]
    return [
        (
            "A/A, from assignment to verdict: rejections at 5 %",
            f"{got['rejected']} of {got['experiments']} (p-values uniform: p = {got['uniform_p']:.2f})",
            f"{low} to {high}, 99 % binomial",
            within(low <= got["rejected"] <= high),
        ),
        ("assign 1 M units to arms", f"{seconds:.2f} s", "≤ 1 s", within(seconds <= 1)),
    ]


def off_policy() -> list[Row]:
    """Values of policies by the send plans of 200 simulated companies, against the truth of each."""
    got = json.loads(printed_by(["-m", "mlguide_assets_tests.benchmarks.off_policy", "200"]))
    rows = []
    for pair, found in got["pairs"].items():
        share = found["covered"] / found["supported"]
        rows.append(
            (
                f"off-policy ratio, {pair}: 95 % intervals that hold the truth",
                f"{share:.1%} of {found['supported']} (error {found['mean_error']:+.1%} ± {found['spread']:.0%})",
                f"≥ {found['at_least']:.1%}, 99 % binomial",
                within(share >= found["at_least"]),
            )
        )
    refused, plans = got["refused_without_draws"], got["without_draws"]
    return [*rows, ("  refused where nothing is drawn", f"{refused} of {plans}", "all", within(refused == plans))]


def replayed(seeds: int) -> list[Row]:
    """Every scenario to its end; with more seeds than one, those that chance can spoil again and again."""
    rows = []
    for scenario, days in DAYS.items():
        played = play(scenario, days=days)
        what, done = f"replay of {scenario}, {days} days", within(fulfilled(played.outcome))
        rows.append((what, in_words(played.outcome), BUDGET[scenario], done))
        took = f"{played.seconds:.0f} s (processor: {played.processor:.0f} s), {played.gigabytes:.1f} GB"
        fine = played.seconds <= SECONDS and played.gigabytes <= GIGABYTES
        rows.append(("  what it took", took, f"≤ {SECONDS} s, ≤ {GIGABYTES} GB", within(fine)))
    return rows if seeds == 1 else [*rows, *_many_replays(seeds)]


def _many_replays(seeds: int) -> list[Row]:
    days, many = DAYS["experiment"], 4 * seeds
    alarms = [play("calm", days=DAYS["calm"], seed=seed).outcome["false_alarms"] for seed in range(seeds)]
    played = (play("experiment", days=days, seed=seed, sends=SENDS_OF_MANY) for seed in range(many))
    found = [each.outcome["experiment"] for each in played]
    verdicts = [each["verdict"] if each else "none" for each in found]
    covered, asked = sum(bool(each) and holds_the_truth(each) for each in found), binomial_at_least(many)
    by_verdict = ", ".join(f"{verdict} {verdicts.count(verdict)}" for verdict in dict.fromkeys(verdicts))
    return [
        (
            f"calm over {seeds} seeds: false alarms",
            f"{sum(alarms)} ({', '.join(map(str, alarms))})",
            "≤ 1 in all",
            within(sum(alarms) <= 1),
        ),
        (
            f"experiment over {many} seeds: intervals that hold the truth",
            f"{covered} of {many} (verdicts: {by_verdict})",
            f"≥ {asked}, 99 % binomial; ship",
            within(covered >= asked and set(verdicts) == {"ship"}),
        ),
    ]
