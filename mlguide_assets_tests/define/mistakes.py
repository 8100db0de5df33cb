"""A problem file that is right, and what people write in its place: each mistake with what is said of it."""

from pathlib import Path

import pytest

from mlguide_assets.define.loading import parse_problem
from mlguide_assets.errors import InputError

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
        "line 14, source.live.day_every",
        "longer than zero",
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
    "no duration": ("window: 7d", "window: 0d", "line 10, predict.label.window", "longer than zero"),
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
    "split by the label": (
        "sends_7d: {count: send, by: user, within: 7d}",
        "sends_*: {count: send, by: user, split: unsubscribed}",
        "line 30, features.declared.sends_*.split",
        "'unsubscribed' is the label, which is known only 7 days later",
    ),
    "split by the label, whose values are said": (
        "sends_7d: {count: send, by: user, within: 7d}",
        "sends_*: {share: send, by: user, split: unsubscribed, values: ['yes']}",
        "line 30, features.declared.sends_*.split",
        "'unsubscribed' is the label, which is known only 7 days later",
    ),
    "split by a column with the event before it": (
        "sends_7d: {count: send, by: user, within: 7d}",
        "sends_*: {count: send, by: user, split: send.channel}",
        "line 30, features.declared.sends_*.split",
        "'send.channel' is not a category of send or of an entity that it names",
    ),
    "split by a column that the entity has not": (
        "sends_7d: {count: send, by: user, within: 7d}",
        "sends_*: {count: send, by: user, split: user.gendr}",
        "line 30, features.declared.sends_*.split",
        "did you mean 'user.gender'?",
    ),
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
    "a comment sign removed without its blank": (
        "costs:",
        " serving: {clock: data}\ncosts:",
        "line 15",
        "this is not YAML (the line is indented otherwise than the keys above it); fix the syntax there.",
    ),
    "a text with a colon and no quotes": (
        "name: shop",
        "name: shop: first",
        "line 1",
        "indented further than the key above it, or a text with ': ' in it is not in quotes); fix the syntax there.",
    ),
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
