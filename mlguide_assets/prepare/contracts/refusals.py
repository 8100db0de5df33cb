"""Refusing a source in words: which rule, how many rows, why, and a way out that is safe to follow."""

from collections.abc import Iterable, Sequence

import yaml

from mlguide_assets.define.contracts import DecisionKey, Filled, NewestKnown, References, Rule, SetAside, Unique
from mlguide_assets.define.schema import TableName
from mlguide_assets.english import agreeing, counted, percent
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.contracts.validation import RuleResult


def refuse_blocked(results: Sequence[RuleResult], rules: Iterable[Rule], place: str) -> None:
    """Raise for the first broken rule that blocks, and say how many more there are.

    Args:
        rules: the contract that the results are of.
        place: the source in words.
    """
    by_name = {rule.name: rule for rule in rules}
    blocking = [result for result in results if result.action == "block" and not result.passed]
    if not blocking:
        return
    first, *others = blocking
    rule = by_name[first.rule]
    more = f" {len(others)} more blocking rule(s) are broken: {', '.join(r.rule for r in others)}." if others else ""
    what = _too_many_aside(first, rule, results) if isinstance(rule, SetAside) else _broken(first, by_name)
    raise InputError(f"{first.table} from {place} {what}{more}")


def _broken(result: RuleResult, rules: dict[str, Rule]) -> str:
    rule = rules[result.rule]
    aside = _set_aside(rule, result, rules)
    return (
        f"breaks {result.rule} in {result.violations:,} of {counted(result.rows, 'row')}, for example "
        f"{result.example}: "
        f"{result.cause}{aside}."
    )


def _set_aside(rule: Rule, result: RuleResult, rules: dict[str, Rule]) -> str:
    """Quarantine as a way out, with all that follows from it; nothing where that would lose too much."""
    limit = _limit(result.table, rules)
    # Rows that share the key of a decision may all be meant.
    if isinstance(rule, (Filled, NewestKnown, DecisionKey)) or result.violations > limit.max_share * result.rows:
        return ""
    stated = f"with {_as_yaml(rule.model_copy(update={'action': 'quarantine'}))} under contracts in the problem file"
    if isinstance(rule, Unique):
        return f"; or keep the newest and set the others aside, {stated}"
    referring = " and ".join(_referring(result.table, rules))
    cascade = f", and with them all rows of {referring} that refer to them" if referring else ""
    return f"; or set these rows aside{cascade}, {stated}"


def _too_many_aside(result: RuleResult, rule: SetAside, results: Sequence[RuleResult]) -> str:
    most = sets_most_aside(result, results)
    stated = _as_yaml(rule.model_copy(update={"max_share": 1.0}))
    allow = f"; or, if these rows are meant to be set aside, allow it with {stated} under contracts in the problem file"
    return (
        f"would lose {result.violations:,} of {counted(result.rows, 'row')}, set aside by its contract, where "
        f"{rule.name} "
        f"allows {percent(rule.max_share)}: {counted(most.violations, 'row')} {agreeing(most.violations, 'break')} "
        f"{most.rule}, for example {most.example}: "
        # That nothing is left is no use to anybody.
        f"{most.cause}{allow if result.violations < result.rows else ''}. 'mlguide export quarantined_rows' shows them."
    )


def sets_most_aside(result: RuleResult, results: Sequence[RuleResult]) -> RuleResult:
    """Of a table too many of whose rows are set aside, the rule that most of them break."""
    removing = [each for each in results if each.table == result.table and each.action == "quarantine"]
    return max(removing, key=lambda each: each.violations)


def _limit(table: TableName, rules: dict[str, Rule]) -> SetAside:
    return next(rule for rule in rules.values() if isinstance(rule, SetAside) and rule.table == table)


def _referring(table: TableName, rules: dict[str, Rule]) -> list[str]:
    """The tables whose rows are set aside with those that they refer to."""
    return sorted({rule.table for rule in rules.values() if isinstance(rule, References) and rule.target == table})


def _as_yaml(rule: Rule) -> str:
    """A rule as one item of `contracts`."""
    values = rule.model_dump(mode="json", exclude_none=True)
    ordered = {"table": values.pop("table"), "rule": values.pop("rule")} | values
    action = ordered.pop("action")
    return yaml.safe_dump({**ordered, "action": action}, default_flow_style=True, sort_keys=False, width=1000).strip()
