"""Reading problem files: the valid ones, and every kind of mistake as one sentence that says where and what to do."""

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlguide_assets.define.loading import (
    PROBLEM_VARIABLE,
    current_problem,
    dump_problem,
    load_problem,
    parse_problem,
    shipped_problems,
    with_overrides,
)
from mlguide_assets.define.prediction import ColumnLabel
from mlguide_assets.define.sources import DatabaseSource, FilesSource, Live, SimulatorSource
from mlguide_assets.errors import InputError
from mlguide_assets.settings import Home
from mlguide_assets_tests.samples import PROBLEM, sample_problem

TABLES = """\
tables:
  user_profiles:
    entity: user
    key: id
    columns: {age: integer, gender: category, date_joined: time}
  user_emails:
    event: send
    at: delivered_at
    of: {user: user_id}
    columns: {unsubscribed: category, cost: number, paid: flag}
"""

VALID = f"""\
name: shop
statement: Emails lose users.
hypothesis: Fewer emails lose fewer.
predict:
  each: send
  label:
    column: unsubscribed
    positive: "yes"
    negative: "no"
    window: 7d
history_start: 2024-01-01
source:
  kind: files
  uri: data
costs: {{missed: 12, false_alarm: 0.5}}
contracts:
  - {{table: user_profiles, rule: range, column: age, min: 13, max: 120, action: quarantine}}
{TABLES}features:
  declared:
    sends_7d: {{count: send, by: user, within: 7d}}
"""

SOURCE = "kind: files\n  uri: data"
RULE = "{table: user_profiles, rule: range, column: age, min: 13, max: 120, action: quarantine}"

MISTAKES = {
    "misspelt key": ("statement:", "statment:", "line 2, statment", "did you mean 'statement'?"),
    "misspelt nested key": ("window: 7d", "windw: 7d", "line 10, predict.label.windw", "did you mean 'window'?"),
    "unknown key": ("name: shop", "name: shop\nzzz: 1", "line 2, zzz", "unknown key; known here: name"),
    "unknown key of a source": ("uri: data", "uri: data\n  sends: 5", "line 15, source.sends", "unknown key"),
    "misspelt key of a rule": ("min: 13", "mn: 13", "line 17, contracts.0.mn", "did you mean 'min'?"),
    "rule without a list": (f"- {RULE}", RULE, "contracts", "write a list"),
    "missing key": ("statement: Emails lose users.\n", "", "statement", "this key is missing; add it"),
    "missing nested key": ('    negative: "no"\n', "", "line 6, predict.label.negative", "this key is missing; add it"),
    "limit of what is no number": (
        'positive: "yes"\n    negative: "no"',
        "positive: {at_least: 5}",
        "line 8, predict.label.positive",
        "a limit is for numbers, and 'unsubscribed' is of kind category",
    ),
    "limit on both sides": (
        'positive: "yes"\n    negative: "no"',
        "positive: {at_least: 5, at_most: 9}",
        "line 8, predict.label.positive",
        "write at_least or at_most, one of them",
    ),
    "limit that is misspelt": (
        'positive: "yes"\n    negative: "no"',
        "positive: {at_lest: 5}",
        "line 8, predict.label.positive.at_lest",
        "did you mean 'at_least'?",
    ),
    "negative beside a limit": (
        'positive: "yes"',
        "positive: {at_least: 5}",
        "line 9, predict.label.negative",
        "every other number is the negative outcome; leave it out",
    ),
    "label read twice": (
        "columns: {unsubscribed: category,",
        "columns: {unsubscribed: category, left: {kind: flag, name: unsubscribed},",
        "predict.label.column",
        "'left' reads the same column of the source, and would give the outcome away before it is known",
    ),
    "missing key of a rule": (
        ", action: quarantine",
        "",
        "line 17, contracts.0.action",
        "this key is missing",
    ),
    "duration beyond counting": (
        "window: 7d",
        "window: 9999999999d",
        "line 10, predict.label.window",
        "write a shorter one",
    ),
    "misspelt key of a live world": (
        SOURCE,
        "kind: simulator\n  live: {start: 2024-03-01, day_evry: 1m}",
        "line 14, source.live.day_evry",
        "did you mean 'day_every'?",
    ),
    "live world without a start": (
        SOURCE,
        "kind: simulator\n  live: {day_every: 1m}",
        "line 14, source.live.start",
        "this key is missing",
    ),
    "world of one instant": (
        SOURCE,
        "kind: simulator\n  live: {start: 2024-03-01, day_every: 0s}",
        "line 14, source.live",
        "day_every must be longer than zero",
    ),
    "live world that ends before it starts": (
        SOURCE,
        "kind: simulator\n  live: {start: 2024-03-01, end: 2024-02-01}",
        "line 14, source.live",
        "end 2024-02-01 must not be before start 2024-03-01",
    ),
    "live world without a history": (
        SOURCE,
        "kind: simulator\n  live: {start: 2024-01-01}",
        "source.live: start 2024-01-01 must be after history_start 2024-01-01",
        "not after the world's end 2024-12-31",
    ),
    "live world that starts after its end": (
        SOURCE,
        "kind: simulator\n  live: {start: 2025-01-01}",
        "source.live: start 2025-01-01",
        "not after the world's end 2024-12-31",
    ),
    "live world whose labels come late": (
        f"window: 7d\nhistory_start: 2024-01-01\nsource:\n  {SOURCE}",
        "window: 6d\nhistory_start: 2024-01-01\nsource: {kind: simulator, live: {start: 2024-03-01}}",
        "label.window must be 7d or longer",
        "source.live is given",
    ),
    "misspelt key of the exploration": (
        "name: shop",
        "name: shop\nexploration: {shre: 0.1}",
        "line 2, exploration.shre",
        "did you mean 'share'?",
    ),
    "exploration of everybody": (
        "name: shop",
        "name: shop\nexploration:\n  share: 1.0",
        "line 3, exploration.share",
        "1.0 is not valid: input should be less than 1",
    ),
    "exploration in percent": (
        "name: shop",
        "name: shop\nexploration:\n  share: 5%",
        "line 3, exploration.share",
        "'5%' is not valid",
    ),
    "a ramp that lets units leave": (
        "name: shop",
        "name: shop\ncanary: {ramp: [0.1, 0.05]}",
        "line 2, canary",
        "every share must be larger than the one before",
    ),
    "a ramp that cannot end in time": (
        "name: shop",
        "name: shop\ncanary: {days_per_step: 15}",
        "line 2, canary",
        "60 days end before the ramp can, which takes 60 days",
    ),
    "two that send the challenger's choice": (
        "name: shop",
        "name: shop\ncanary: {}\npolicies: {champion: 0.9, challenger: 0.1}",
        "policies.challenger = 0.1 gives the challenger a share",
        "leave one of them out",
    ),
    "policies that leave users out": (
        "name: shop",
        "name: shop\npolicies: {champion: 0.8, random: 0.1}",
        "line 2, policies",
        "the shares sum to 0.9; they must sum to 1",
    ),
    "a policy that there is not": (
        "name: shop",
        "name: shop\npolicies: {champion: 0.9, radnom: 0.1}",
        "line 2, policies.radnom",
        "did you mean 'random'?",
    ),
    "salt with spaces": (
        "name: shop",
        "name: shop\nexploration: {salt: a pinch}",
        "line 2, exploration.salt",
        "'a pinch' is not valid",
    ),
    "weights that may not differ": (
        "name: shop",
        "name: shop\nexploration: {max_weight: 1}",
        "line 2, exploration.max_weight",
        "1 is not valid: input should be greater than 1",
    ),
    "list for a text": (
        "statement: Emails lose users.",
        "statement: [a]",
        "line 2, statement",
        "valid string",
    ),
    "text for a number": (
        "missed: 12",
        "missed: much",
        "line 15, costs.missed",
        "'much' is not valid",
    ),
    "duration without unit": ("window: 7d", "window: 7", "line 10, predict.label.window", "such as 7d, 36h or 2w"),
    "duration with an unknown unit": (
        "window: 7d",
        "window: 7y",
        "line 10, predict.label.window",
        "such as 7d, 36h or 2w",
    ),
    "no duration": ("window: 7d", "window: 0d", "line 6, predict.label", "longer than zero"),
    "equal labels": ('"no"', '"yes"', "line 6, predict.label", "two different values"),
    "value of both outcomes": ('"no"', '["no", "yes"]', "line 6, predict.label", "'yes' is both"),
    "outcome without a value": ('"no"', "[]", "line 9, predict.label.negative", "at least 1 item"),
    "outcome that is empty": ('"no"', "null", "line 9, predict.label.negative", "this value is empty"),
    "rule that lets through what is no outcome": (
        RULE,
        "{table: user_emails, rule: one_of, column: unsubscribed, values: ['yes', 'no', later], action: block}",
        "line 17, contracts.0.values",
        'say which it means: negative: ["no", "later"] or positive: ["yes", "later"] under predict.label',
    ),
    "rule that lets through all that is no outcome": (
        RULE,
        "{table: user_emails, rule: one_of, column: unsubscribed, values: ['yes', 'no'], action: warn}",
        "line 17, contracts.0.action",
        "would count as not known yet; write block or quarantine",
    ),
    "negative cost": ("missed: 12", "missed: -1", "line 15, costs.missed", "greater than 0"),
    "impossible date": ("2024-01-01", "2024-02-30", "line 11, history_start", "'2024-02-30' is not valid"),
    "name with spaces": ("name: shop", "name: My Shop", "line 1, name", "'My Shop' is not valid"),
    "unknown kind of source": (
        "kind: files",
        "kind: fils",
        "line 12, source",
        "'fils' is not a 'kind'; did you mean 'files'?",
    ),
    "no kind of source": ("kind: files\n  ", "", "line 12, source", "'kind' is missing"),
    "file source without address": (SOURCE, "kind: files", "line 12, source.uri", "this key is missing"),
    "simulator with an address": (SOURCE, "kind: simulator\n  uri: x", "line 14, source.uri", "unknown key"),
    "too few simulated sends": (
        SOURCE,
        "kind: simulator\n  sends: 5",
        "line 14, source.sends",
        "greater than or equal to 100",
    ),
    "unknown rule": (
        "rule: range",
        "rule: rnage",
        "line 17, contracts.0",
        "'rnage' is not a 'rule'; did you mean 'range'?",
    ),
    "rule without its kind": ("rule: range, ", "", "line 17, contracts.0", "'rule' is missing"),
    "unknown action": (
        "action: quarantine",
        "action: drop",
        "line 17, contracts.0.action",
        "'drop' is not valid",
    ),
    "rule of an unknown table": (
        "table: user_profiles",
        "table: users",
        "line 17, contracts.0",
        "'users' is not a table (user_profiles, user_emails)",
    ),
    "rule of an unknown column": (
        "column: age",
        "column: ages",
        "line 17, contracts.0",
        "'ages' is not a column of user_profiles (id, ",
    ),
    "range upside down": ("min: 13", "min: 130", "line 17, contracts.0", "min 130 is above max 120"),
    "range of nothing": (", min: 13, max: 120", "", "line 17, contracts.0", "needs min, max or both"),
    "range of a text": ("column: age", "column: gender", "line 17, contracts.0", "'gender' is not a number"),
    "rule stated twice": (
        RULE,
        f"{RULE}\n  - {RULE}",
        "contracts",
        "user_profiles.age_is_in_range is stated twice; keep one",
    ),
    "list of values of a number": (
        RULE,
        "{table: user_profiles, rule: one_of, column: age, values: ['1'], action: warn}",
        "line 17, contracts.0",
        "'age' is no text",
    ),
    "overlaps where there is no history": (
        RULE,
        "{table: user_profiles, rule: not_overlapping, action: block}",
        "line 17, contracts.0",
        "user_profiles has no history",
    ),
    "empty list of values": (
        RULE,
        "{table: user_profiles, rule: one_of, column: gender, values: [], action: warn}",
        "line 17, contracts.0.values",
        "at least 1",
    ),
    "reference to a later table": (
        RULE,
        "{table: user_profiles, rule: references, column: id, target: user_emails, action: block}",
        "line 17, contracts.0",
        "user_profiles cannot refer to user_emails",
    ),
    "reference that warns": (
        RULE,
        "{table: user_emails, rule: references, column: user_id, target: user_profiles, action: warn}",
        "line 17, contracts.0",
        "'warn' is not valid: input should be 'block' or 'quarantine'",
    ),
    "times to come that warn": (
        RULE,
        "{table: user_emails, rule: not_after, column: delivered_at, action: warn}",
        "line 17, contracts.0",
        "'warn' is not valid: input should be 'block' or 'quarantine'",
    ),
    "floor of what is no time": (
        RULE,
        "{table: user_profiles, rule: not_earlier, column: age, action: warn}",
        "line 17, contracts.0",
        "'age' is not a time",
    ),
    "reference by a text": (
        RULE,
        "{table: user_emails, rule: references, column: cost, target: user_profiles, action: block}",
        "line 17, contracts.0",
        "'cost' is a number or a time, so it holds no ids",
    ),
    "comparison with an unknown time": (
        RULE,
        "{table: user_emails, rule: not_before, column: delivered_at, key: user_id, target: user_profiles, "
        "target_column: joined, action: warn}",
        "line 17, contracts.0",
        "'joined' is not a column of user_profiles",
    ),
    "comparison with what is no time": (
        RULE,
        "{table: user_emails, rule: not_before, column: delivered_at, key: user_id, target: user_profiles, "
        "target_column: age, action: warn}",
        "line 17, contracts.0",
        "'age' is not a time",
    ),
    "format of what is no time": (
        "cost: number",
        "cost: {kind: number, format: '%d/%m/%Y'}",
        "tables.user_emails.columns.cost",
        "holds no times; leave it out",
    ),
    "format of numbers for what is none": (
        "date_joined: time",
        "date_joined: {kind: time, format: decimal_comma}",
        "tables.user_profiles.columns.date_joined",
        "decimal_comma is for columns of kind number, not time; leave it out",
    ),
    "format without a year": (
        "date_joined: time",
        "date_joined: {kind: time, format: '%d/%m'}",
        "tables.user_profiles.columns.date_joined.format",
        "write how the column states year, month and day, such as '%d/%m/%Y'",
    ),
    "schedule that is no cron": (
        "costs:",
        "retraining: {daily: every night}\ncosts:",
        "line 15, retraining.daily",
        "write five fields (minute, hour, day, month, weekday)",
    ),
    "schedule at an hour that is none": (
        "costs:",
        "retraining: {often: 0 24 * * *}\ncosts:",
        "line 15, retraining.often",
        "write five fields",
    ),
    "time zone that is none": (
        "costs:",
        "retraining: {timezone: Europe/Berln}\ncosts:",
        "line 15, retraining.timezone",
        "such as UTC or Europe/Berlin",
    ),
    "reading too often": (
        "costs:",
        "retraining: {refresh_every: 10s}\ncosts:",
        "line 15, retraining",
        "refresh_every must be 1m or longer",
    ),
    "text for a mapping": ("costs: {missed: 12, false_alarm: 0.5}", "costs: high", "line 15, costs", "'high' is not"),
    "number for a text": ("entity: user", "entity: 7", "tables.user_profiles.entity", "write it in quotes, as '7'"),
    "kind that there is not": ("age: integer", "age: whole", "tables.user_profiles.columns.age", "'number'"),
    "misspelt key of a table": ("key: id", "kee: id", "line 21, tables.user_profiles.kee", "did you mean 'key'?"),
    "table without a key": ("    key: id\n", "", "tables.user_profiles.key", "this key is missing"),
    "two tables of one noun": ("event: send", "event: user", "line 18, tables", "are both called 'user'; rename one"),
    "entity that is an event": ("of: {user: user_id}", "of: {send: user_id}", "tables.user_emails.of", "is an event"),
    "ids that have a name that is taken": (
        "of: {user: user_id}",
        "of: {user: user_id, run: run_id}",
        "tables",
        "an entity cannot be called 'run', because run_id is a column of predictions already",
    ),
    "condition on what no table has": (
        "within: 7d}",
        "within: 7d, where: {user.agee: {at_least: 18}}}",
        "features.declared.sends_7d.where",
        "did you mean 'user.age'?",
    ),
    "condition on a flag that is none": (
        "within: 7d}",
        "within: 7d, where: {paid: partly}}",
        "line 30, features.declared.sends_7d.where.paid",
        "'paid' is a flag, and 'partly' is none; write true or false",
    ),
    "condition on a number of an entity that is none": (
        "within: 7d}",
        "within: 7d, where: {user.age: {not: old}}}",
        "line 30, features.declared.sends_7d.where.user.age",
        "'user.age' is a whole number, and 'old' is none",
    ),
    "condition on nothing": (
        "within: 7d}",
        "within: 7d, where: {paid: null}}",
        "line 30, features.declared.sends_7d.where.paid",
        "this value is empty; write one",
    ),
    "split of a flag by what is none": (
        "sends_7d: {count: send, by: user, within: 7d}",
        "sends_*: {count: send, by: user, split: paid, values: ['yes', late]}",
        "line 30, features.declared.sends_*.values",
        "'paid' is a flag, and 'late' is none",
    ),
    "rule of a flag with what is none": (
        RULE,
        "{table: user_emails, rule: one_of, column: paid, values: ['yes', late], action: warn}",
        "line 17, contracts.0.values",
        "write true or false",
    ),
    "known_from that is no time": ("key: id", "key: id\n    known_from: age", "tables.user_profiles", "kind time"),
    "decision about nothing": ("each: send", "each: sends", "line 5, predict.each", "did you mean 'send'?"),
    "label that is no column": (
        "column: unsubscribed",
        "column: lost",
        "line 7, predict.label.column",
        "is not a column of send",
    ),
    "choice without candidates": (
        "each: send",
        "each: send\n  choose: user",
        "line 6, predict.choose",
        "a choice needs an event of two entities",
    ),
    "feature of an unknown event": ("count: send", "count: order", "declared.sends_7d", "'order' is not an event"),
    "feature by an unknown entity": ("by: user", "by: usr", "features.declared.sends_7d.by", "did you mean 'user'?"),
    "feature without an operator": ("count: send, ", "", "features.declared.sends_7d", "write one of count, sum"),
    "feature with two operators": ("count: send", "count: send, sum: send.cost", "sends_7d", "count and sum"),
    "feature by nobody": ("by: user, ", "", "features.declared.sends_7d", "count needs by"),
    "feature of the label": (
        "count: send",
        "last: send.unsubscribed",
        "features.declared.sends_7d",
        "is the label, which is known only 7 days later",
    ),
    "mean of a text": ("count: send", "mean: send.user_id", "features.declared.sends_7d.mean", "is no number"),
    "split without a star": ("within: 7d}", "within: 7d, split: unsubscribed}", "features", "belong together"),
    "direction of the calendar": (
        "    sends_7d: {count: send, by: user, within: 7d}\n",
        "    sends_7d: {count: send, by: user, within: 7d}\n    weekday: {calendar: day_of_week}\n"
        "behaviour: {directions: [{feature: weekday, effect: never_lowers}]}\n",
        "line 32, behaviour.directions.0.feature",
        "'weekday' is not a feature that can be raised (sends_7d, age): day_of_week comes again with every turn of the "
        "calendar, and is not raised by anything",
    ),
    "direction of what has no order": (
        "cost: number, paid: flag}\nfeatures:\n  declared:\n",
        "cost: category, paid: flag}\nbehaviour: {directions: [{feature: before, effect: never_lowers}]}\n"
        "features:\n  declared:\n    before: {last: send.cost, by: user}\n",
        "line 28, behaviour.directions.0.feature",
        "(sends_7d, age): the values of send.cost are no numbers, and have no order",
    ),
    "direction of what cannot be raised": (
        "costs:",
        "behaviour: {directions: [{feature: sends_8d, effect: never_lowers}]}\ncosts:",
        "line 15, behaviour.directions.0.feature",
        "is not a feature that can be raised (sends_7d, age)",
    ),
    "slice of what is no column": (
        "costs:",
        "evaluation: {slices: [colour]}\ncosts:",
        "line 15, evaluation.slices",
        "'colour' is not a column that can be sliced (age, gender)",
    ),
    "test window that ends before it starts": (
        "costs:",
        "evaluation: {test_from: 2024-03-01, test_until: 2024-02-01}\ncosts:",
        "line 15, evaluation",
        "test_until must be after test_from",
    ),
    "key stated twice": ("name: shop", "name: shop\nname: shop2", "line 1", "'name' is stated twice"),
    "broken YAML": ("{missed: 12, false_alarm: 0.5}", "{missed: 12", "line 16", "this is not YAML"),
    "tabs for spaces": ("  kind:", "\tkind:", "line 13", "this is not YAML"),
}

NOT_MAPPINGS = {
    "nothing": b"",
    "a comment": b"# soon\n",
    "a list": b"- name: shop\n",
    "a text": b"planeswalker",
}


def complaint(content: str | bytes, path: Path = Path("shop.yaml")) -> str:
    with pytest.raises(InputError) as caught:
        parse_problem(content.encode() if isinstance(content, str) else content, path)
    return one_sentence(caught.value)


def one_sentence(error: InputError) -> str:
    text = str(error)
    assert "\n" not in text
    assert text.endswith((".", "?"))
    assert not text.endswith(("..", "?."))
    return text


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_reported_with_file_line_key_and_fix(mistake: str) -> None:
    before, after, where, fix = MISTAKES[mistake]
    assert before in VALID
    told = complaint(VALID.replace(before, after, 1))
    assert told.startswith("shop.yaml, line ")
    assert where in told
    assert fix in told


NUMBERS = VALID.replace('positive: "yes"\n    negative: "no"', "positive: {at_least: 2.5}").replace(
    "column: unsubscribed", "column: cost"
)


def test_what_was_called_users_is_refused_with_the_line_to_write() -> None:
    with pytest.raises(InputError, match=r"leakage\.users: it is called units now; write units: 100 in its place"):
        parse_problem(f"{VALID}leakage: {{users: 100}}\n".encode(), Path("shop.yaml"))


def test_a_default_that_an_earlier_home_holds_is_read() -> None:
    read = parse_problem(f"{VALID}leakage: {{max_feature_auc: 0.85, users: 1000}}\n".encode(), Path("shop.yaml"))
    assert read == parse_problem(VALID.encode(), Path("shop.yaml"))


def test_a_limit_of_numbers_is_an_outcome_and_is_kept_as_it_was_written() -> None:
    problem = parse_problem(NUMBERS.encode(), Path("shop.yaml"))
    again = parse_problem(dump_problem(problem).encode(), Path("shop.yaml"))
    assert again == problem
    assert (again.label.positive, again.label.negative) == ("at least 2.5", "less than 2.5")


def test_a_label_has_no_range_since_only_its_outcome_is_kept() -> None:
    rule = "{table: user_emails, rule: range, column: cost, min: 0, action: block}"
    assert "'cost' is the label, of which only the outcome is kept" in complaint(NUMBERS.replace(RULE, rule))


def test_a_label_may_be_read_twice_where_rows_say_when_they_are_complete() -> None:
    columns = "arrives_within: 1d\n    columns: {unsubscribed: category, left: {kind: flag, name: unsubscribed},"
    parse_problem(VALID.replace("columns: {unsubscribed: category,", columns).encode(), Path("shop.yaml"))


def test_a_condition_may_be_on_a_column_of_an_entity() -> None:
    content = VALID.replace("within: 7d}", "within: 7d, where: {user.age: {at_least: 18}}}", 1)
    problem = parse_problem(content.encode(), Path("shop.yaml"))
    assert problem.features.declared["sends_7d"].where["user.age"].at_least == 18


def test_of_a_choice_nothing_is_known_when_the_event_happens() -> None:
    emails = "  emails: {entity: email, key: id, columns: {theme: category}}\n  user_emails:"
    offered = VALID.replace("  user_emails:", emails, 1).replace("{user: user_id}", "{user: user_id, email: email_id}")
    chosen = offered.replace("each: send", "each: send\n  choose: email", 1)
    assert parse_problem(chosen.encode(), Path("shop.yaml")).chooses
    assert complaint(chosen.replace("each: send", "each: send\n  known: [cost, paid]", 1)) == (
        "shop.yaml, line 6, predict.known: the email is chosen before a send happens, when 'cost' and 'paid' cannot be "
        "known yet; leave out known, or leave out choose."
    )


@pytest.mark.parametrize("content", NOT_MAPPINGS)
def test_a_file_that_is_no_mapping_is_shown_what_one_looks_like(content: str) -> None:
    assert complaint(NOT_MAPPINGS[content]) == (
        "shop.yaml, line 1: expected keys and values, such as 'name: my_problem'."
    )


def test_bytes_that_are_no_text_are_told_apart_from_bad_syntax() -> None:
    assert "shop.yaml" in (told := complaint(VALID.encode().replace(b"shop", b"caf\xe9")))
    assert "the bytes are not text" in told


def test_the_number_of_further_mistakes_is_reported() -> None:
    told = complaint(VALID.replace("window: 7d", "window: 7").replace("missed: 12", "missed: -1"))
    assert "(1 more to fix after this one)" in told


def test_an_unknown_problem_names_the_shipped_ones() -> None:
    with pytest.raises(InputError, match=r"'shoop'.*neither a file.*\(fraud, guide, journey_churn, planeswalker\)"):
        load_problem("shoop")


@pytest.mark.parametrize("name", shipped_problems())
def test_a_shipped_problem_is_served_by_the_clock_of_its_data(name: str) -> None:
    assert load_problem(name).clock == "data", "no table goes on by itself: by the wall's clock the API refuses all"


@pytest.mark.parametrize("name", shipped_problems())
def test_a_shipped_problem_is_valid_and_has_its_own_name(name: str) -> None:
    assert load_problem(name).name == name


@pytest.mark.parametrize("name", shipped_problems())
def test_a_dumped_problem_loads_to_an_equal_one(name: str) -> None:
    problem = load_problem(name)
    assert parse_problem(dump_problem(problem).encode(), Path("dumped.yaml")) == problem


@pytest.mark.parametrize("cron", ["* * * * *", "*/5 0-6 1,15 * 1-5", "0 3 * * 0", "59 23 31 12 7", "0-30/10 */2 * * *"])
def test_schedules_may_be_any_cron(cron: str) -> None:
    assert sample_problem("data", retraining={"daily": f" {cron} "}).retraining.daily == cron


@pytest.mark.parametrize(
    "wrong", ["", "0 3 * *", "0 3 * * * *", "60 0 * * *", "0 0 0 * *", "0 0 * 13 *", "0 0 * * 8", "5/2 * * * *",
              "*/0 * * * *", "9-5 * * * *", "@daily", "a b c d e", "-1 * * * *"]
)  # fmt: skip
def test_what_is_no_cron_is_refused(wrong: str) -> None:
    with pytest.raises(InputError, match="write five fields"):
        sample_problem("data", retraining={"daily": wrong})


@pytest.mark.parametrize("window", ["7d", "36h", "90m", "2w", "90s"])
def test_a_window_survives_dumping(window: str) -> None:
    problem = sample_problem("data", label={"positive": "1", "negative": "off", "window": window})
    assert parse_problem(dump_problem(problem).encode(), Path("dumped.yaml")).label == problem.label


def test_outcomes_of_several_values_survive_dumping() -> None:
    problem = sample_problem("data", label={"positive": "yes", "negative": ["no", "partly"], "window": "7d"})
    again = parse_problem(dump_problem(problem).encode(), Path("dumped.yaml"))
    assert again == problem
    assert isinstance(again.label, ColumnLabel)
    assert (again.label.negative, again.label.negatives) == ("no", ("no", "partly"))


def test_a_date_of_the_simulator_survives_dumping() -> None:
    shifted = {"kind": "simulator", "covariate_shift": "2024-03-01"}
    problem = parse_problem(yaml.safe_dump({**PROBLEM, "source": shifted}).encode(), Path("shop.yaml"))
    assert parse_problem(dump_problem(problem).encode(), Path("dumped.yaml")) == problem


def test_a_live_world_survives_dumping_and_resizing() -> None:
    live = {"kind": "simulator", "live": {"start": "2024-03-01", "day_every": "10s", "end": "2025-06-01"}}
    problem = parse_problem(yaml.safe_dump({**PROBLEM, "source": live}).encode(), Path("shop.yaml"))
    assert parse_problem(dump_problem(problem).encode(), Path("dumped.yaml")) == problem
    sized = with_overrides(problem, sends=1000).source
    assert isinstance(sized, SimulatorSource)
    assert sized.live == Live(start=date(2024, 3, 1), day_every=timedelta(seconds=10), end=date(2025, 6, 1))


def test_no_day_passes_by_itself_unless_a_file_says_so() -> None:
    assert SimulatorSource().live is None
    shipped = load_problem("planeswalker")
    assert isinstance(shipped.source, SimulatorSource)
    assert shipped.source.live is not None
    history_ends = shipped.history_start + timedelta(days=shipped.source.days)
    assert shipped.source.live.start == history_ends, "the first reading shows the whole history"


def test_a_relative_folder_is_relative_to_the_problem_file(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(VALID)
    assert load_problem(str(tmp_path / "shop.yaml")).source == FilesSource(uri=str(tmp_path / "data"))


RELATIVE = {
    "duckdb://shop.duckdb": "duckdb://{}/shop.duckdb",
    "duckdb://down/../shop.duckdb?threads=1": "duckdb://{}/shop.duckdb?threads=1",
    "sqlite://down/shop #1?.db": "sqlite://{}/down/shop #1?.db",
    "sqlite:///data/shop.db": "sqlite:///data/shop.db",
    "duckdb://${SHOP}/shop.duckdb": "duckdb://${SHOP}/shop.duckdb",
    "postgresql://host/db": "postgresql://host/db",
    "${SHOP}": "${SHOP}",
}
"""The address of a database → the same from any working directory, where {} is the folder that it is relative to."""


@pytest.mark.parametrize("uri", RELATIVE)
def test_a_database_in_a_file_is_relative_to_the_problem_file(uri: str, tmp_path: Path) -> None:
    text = yaml.safe_dump({**yaml.safe_load(VALID), "source": {"kind": "database", "uri": uri}})
    problem = parse_problem(text.encode(), tmp_path / "shop.yaml")
    assert problem.source == DatabaseSource(uri=RELATIVE[uri].replace("{}", str(tmp_path)))
    assert parse_problem(dump_problem(problem).encode(), tmp_path / "home" / "problem.yaml") == problem


def test_a_rule_of_the_file_replaces_the_one_that_holds_everywhere() -> None:
    rule = {"table": "user_emails", "rule": "unique", "columns": ["user_id", "email_id", "delivered_at"]}
    before = sample_problem("data").rules
    after = sample_problem("data", contracts=[{**rule, "action": "warn"}]).rules
    assert [rule.name for rule in after] == [rule.name for rule in before]
    changed = {(old.name, new.action) for old, new in zip(before, after, strict=True) if old != new}
    assert changed == {("user_emails.user_id_email_id_delivered_at_is_unique", "warn")}


SOURCES: dict[str, Any] = {
    "https://host/files": FilesSource(uri="https://host/files"),
    "postgresql://u@host/db": DatabaseSource(uri="postgresql://u@host/db"),
    "duckdb:///data/shop.duckdb": DatabaseSource(uri="duckdb:///data/shop.duckdb"),
    "/data/shop": FilesSource(uri="/data/shop"),
}


@pytest.mark.parametrize("given", SOURCES)
def test_a_source_given_by_flag_replaces_the_files(given: str) -> None:
    problem = with_overrides(load_problem("planeswalker"), source=given)
    assert problem.source == SOURCES[given]
    assert problem.rules == load_problem("planeswalker").rules


def test_a_folder_given_by_flag_is_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert with_overrides(load_problem("guide"), source="data").source == FilesSource(uri=str(tmp_path / "data"))
    given = with_overrides(load_problem("guide"), source="sqlite://shop.db").source
    assert given == DatabaseSource(uri=f"sqlite://{tmp_path / 'shop.db'}")


def test_a_number_of_sends_sizes_the_simulator_only() -> None:
    shipped = load_problem("planeswalker")
    sized = with_overrides(shipped, sends=1000)
    assert sized.source == shipped.source.model_copy(update={"sends": 1000})


WRONG_FLAGS: dict[str, tuple[str, dict[str, Any], str]] = {
    "both": ("planeswalker", {"source": "x", "sends": 1000}, "--source and --sends exclude each other"),
    "sends of files": (
        "guide",
        {"sends": 1000},
        "--sends sizes the simulator, but guide reads from https://raw",
    ),
    "too few": ("planeswalker", {"sends": 5}, "--sends 5: input should be greater than or equal to 100"),
    "too many": (
        "planeswalker",
        {"sends": 10**9},
        "--sends 1000000000: input should be less than or equal to 100000000",
    ),
}


@pytest.mark.parametrize("wrong", WRONG_FLAGS)
def test_wrong_flags_are_named(wrong: str) -> None:
    name, flags, told = WRONG_FLAGS[wrong]
    with pytest.raises(InputError) as caught:
        with_overrides(load_problem(name), **flags)
    assert told in one_sentence(caught.value)


def test_a_password_is_not_shown_where_flags_are_wrong() -> None:
    with pytest.raises(InputError) as caught:
        with_overrides(sample_problem("postgresql://user:secret@host/db"), sends=1000)
    assert "secret" not in one_sentence(caught.value)


@pytest.mark.parametrize("mistake", ["kind: databse", "kind: database\n  nam: x", "kind: files\n  sends: 3"])
def test_a_password_is_not_shown_where_the_file_is_wrong(mistake: str) -> None:
    content = VALID.replace(SOURCE, f"{mistake}\n  uri: postgresql://user:secret@host/db")
    assert "secret" not in complaint(content)


def test_the_problem_of_a_process_is_the_given_one_then_the_homes_then_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PROBLEM_VARIABLE, raising=False)
    home = Home(tmp_path)
    assert current_problem(home).name == "planeswalker"
    home.active_problem.write_text(VALID)
    assert current_problem(home).name == "shop"
    monkeypatch.setenv(PROBLEM_VARIABLE, re.sub("name: shop", "name: other", VALID))
    assert current_problem(home).name == "other"


def test_a_column_is_mapped_by_its_name_or_with_its_format() -> None:
    columns = {"user_id": "id", "delivered_at": {"name": "sent", "format": "%d/%m/%Y"}}
    problem = sample_problem("shop", tables={"user_emails": {"columns": columns}})
    found = problem.tables["user_emails"].columns
    assert {name: column.name for name, column in found.items() if column.name} == {
        "user_id": "id",
        "delivered_at": "sent",
    }
    assert found["delivered_at"].format == "%d/%m/%Y"
    assert parse_problem(dump_problem(problem).encode(), Path("again.yaml")) == problem


def test_a_table_in_another_script_is_refused_with_the_lines_to_write() -> None:
    text = VALID.replace("user_profiles", "Aufträge")
    with pytest.raises(InputError, match=r"letters from a to z.*; call it Auftrage and add from: Aufträge"):
        parse_problem(text.encode(), Path("shop.yaml"))
