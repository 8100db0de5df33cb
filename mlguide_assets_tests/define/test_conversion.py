"""Problem files in the old form say the same in the new one."""

from pathlib import Path

import yaml

from mlguide_assets.define.conversion import convert, is_old_form
from mlguide_assets.define.loading import load_problem, parse_problem

OLD = """\
# Our emails.
name: ours
statement: Emails lose users.
hypothesis: Generic ones do.
decision: {unit: a send, key: [user_id, email_id, delivered_at]}
label: {column: unsubscribed, positive: "J", negative: "N", window: 14d}
event_time: delivered_at
history_start: 2024-01-01
source: {kind: files, uri: mails}
tables:
  user_emails:
    name: mail_log
    known_at: written
    columns: {delivered_at: {name: sent on, format: "%d/%m/%Y"}, email_id: mail}
themes: [shopping, food]
categories: [newsletter]
costs: {lost_user: 9, withheld_send: 1}   # euros
contracts:
  - {table: email_content, rule: one_of, column: category, values: [newsletter], action: block}
"""


def test_the_old_form_is_known_by_its_keys() -> None:
    assert is_old_form(yaml.safe_load(OLD))
    assert not is_old_form(yaml.safe_load(convert(OLD)))


def test_what_the_file_says_of_its_tables_is_kept() -> None:
    new = yaml.safe_load(convert(OLD))
    sends = new["tables"]["user_emails"]
    assert (sends["from"], sends["known_at"], sends["columns"]["written"]) == ("mail_log", "written", "time")
    assert sends["columns"]["delivered_at"]["format"] == "%d/%m/%Y"
    assert sends["columns"]["email_id"]["name"] == "mail"
    assert new["predict"]["label"] == {
        "column": "unsubscribed", "positive": "J", "negative": "N", "window": "14d", "ends_unit": True
    }  # fmt: skip
    assert new["costs"] == {"missed": 9, "false_alarm": 1}


def test_values_that_are_counted_come_from_the_contract_where_it_names_them() -> None:
    declared = yaml.safe_load(convert(OLD))["features"]["declared"]
    assert declared["number_of_email_theme_*"]["values"] == ["shopping", "food"]
    assert "values" not in declared["number_of_email_category_*"]


def test_comments_stay() -> None:
    assert convert(OLD).startswith("# Our emails.\n")
    assert "# euros" in convert(OLD)


def test_the_guides_own_file_becomes_the_one_that_ships() -> None:
    guide = load_problem("guide")
    kept = ("metric", "gate", "scoring", "contracts", "serving")
    shipped = yaml.safe_load((Path(__file__).parents[2] / "mlguide_assets/define/problems/guide.yaml").read_text())
    old = {
        **{key: shipped[key] for key in ("name", "statement", "hypothesis", "owner", "history_start", "source", *kept)},
        "label": {"column": "unsubscribed", "positive": "yes", "negative": "no", "window": "7d"},
        "themes": ["shopping", "food", "lifestyle"],
        "categories": ["newsletter", "promotional", "transactional"],
        "costs": {"lost_user": 12.0, "withheld_send": 0.5},
    }
    text = convert(yaml.safe_dump(old, sort_keys=False))
    assert parse_problem(text.encode(), Path("old.yaml")) == guide


def test_slices_that_went_without_saying_are_said() -> None:
    said = {"slices": ["country", "theme", "category"]}
    assert yaml.safe_load(convert(OLD))["evaluation"] == said
    assert yaml.safe_load(convert(OLD + "evaluation:\n  seed: 3\n"))["evaluation"] == {**said, "seed": 3}
    assert yaml.safe_load(convert(OLD + "evaluation: {seed: 3}\n"))["evaluation"] == {**said, "seed": 3}
    assert yaml.safe_load(convert(OLD + "evaluation: {slices: [theme]}\n"))["evaluation"] == {"slices": ["theme"]}
