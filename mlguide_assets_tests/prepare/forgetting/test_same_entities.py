"""Two entities are the same where a column of the source holds the ids of both; a name alone decides nothing."""

from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.sources import DatabaseSource
from mlguide_assets.prepare.forgetting.forget_list import ForgetList, Forgotten, entity_of
from mlguide_assets.prepare.forgetting.same_entities import listed_elsewhere, namesakes, same_entities

ACCOUNTS = {"from": "crm.accounts", "entity": "account", "key": "account_id"}
DATABASE = {"kind": "database", "uri": "postgresql://ro:secret@db:5432/saas"}


def event(noun: str, of: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"event": noun, "at": "at", "of": of, "key": ["n"], **more}


def problem(name: str, source: dict[str, Any] = DATABASE, **tables: dict[str, Any]) -> Problem:
    (each,) = [table for table in tables.values() if table.get("event") == "use"]
    noun = next(iter(each["of"]))
    return Problem.model_validate(
        {
            "name": name,
            "statement": "s",
            "hypothesis": "h",
            "owner": "team:data",
            "history_start": "2026-01-01",
            "source": source,
            "tables": tables,
            "predict": {"each": noun, "every": "7d", "label": {"count": "use", "within": "30d", "at_most": 0}},
            "features": {"automatic": {"windows": ["30d"], "max": 10}},
            "metric": {"primary": "roc_auc"},
            "costs": {"missed": 10.0, "false_alarm": 1.0},
        }
    )


USES = event("use", {"payer": "account_id"})
RENAMED = {**event("use", {"payer": "who"}), "from": "uses", "columns": {"who": {"kind": "id", "name": "account_id"}}}
CHURN = problem("churn", accounts=ACCOUNTS, uses=event("use", {"account": "account_id"}))


def found(*others: Problem, named: Problem = CHURN, noun: str = "account") -> list[tuple[str, str]]:
    same = same_entities(named, noun, [*others, named])
    return [(each.problem.name, each.entity.noun) for each in same]


def of_same_name(*others: Problem) -> list[str]:
    return [each.problem.name for each in namesakes(same_entities(CHURN, "account", others), [*others, CHURN])]


@pytest.mark.parametrize(
    "other",
    [
        problem("b", client={**ACCOUNTS, "entity": "client"}, visits=event("use", {"client": "who"})),
        problem("b", uses=USES),
        problem("b", u=RENAMED),
        problem("b", {**DATABASE, "uri": "postgresql://other@db:5432/saas"}, uses=USES),
    ],
    ids=["key of a table", "column of an event", "column of another name", "another login"],
)
def test_a_column_in_common_makes_two_the_same(other: Problem) -> None:
    (noun,) = other.schema.entities
    assert found(other) == [("churn", "account"), ("b", noun)]
    assert of_same_name(other) == []


@pytest.mark.parametrize(
    "other",
    [
        CHURN.model_copy(update={"name": "b", "source": DatabaseSource(uri="postgresql://ro:secret@db:5432/shop")}),
        problem("b", accounts={**ACCOUNTS, "from": "billing.accounts"}, visits=event("use", {"account": "account_id"})),
        problem("b", accounts={**ACCOUNTS, "key": "number"}, visits=event("use", {"account": "number"})),
        problem("b", {"kind": "files", "uri": "/data"}, uses=event("use", {"account": "account_id"})),
    ],
    ids=["another database", "another table", "another column", "files"],
)
def test_a_name_in_common_does_not(other: Problem) -> None:
    assert found(other) == [("churn", "account")]
    assert of_same_name(other) == ["b"]


def test_what_is_the_same_as_a_third_is_the_same() -> None:
    tickets = event("ticket", {"account": "account_id"}, **{"from": "desk.tickets"})
    between = problem("between", accounts=ACCOUNTS, tickets=tickets, visits=event("use", {"account": "who"}))
    last = problem("last", use={**tickets, "event": "use"})
    assert found(last) == [("churn", "account")]
    assert found(last, between) == [("churn", "account"), ("between", "account"), ("last", "account")]


def test_one_problem_may_call_it_by_two_names() -> None:
    sent, got = (event(noun, {role: column}, **{"from": "messages"}) for noun, role, column in (
        ("use", "sender", "from_id"), ("got", "receiver", "to_id")))  # fmt: skip
    mail = problem("mail", sent=sent, got=got)
    people = problem(
        "people",
        sent=event("use", {"person": "from_id"}, **{"from": "messages"}),
        got=event("got", {"person": "to_id"}, **{"from": "messages"}),
    )
    assert found(named=mail, noun="sender") == [("mail", "sender")]
    assert found(people, named=mail, noun="sender") == [("mail", "sender"), ("people", "person"), ("mail", "receiver")]


def test_files_are_the_same_wherever_their_folder_is_named_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one, other = (
        problem(name, {"kind": "files", "uri": uri}, uses=event("use", {"account": "account_id"}))
        for name, uri in (("one", f"{tmp_path}/data/"), ("other", "data"))
    )
    assert found(other, named=one) == [("one", "account"), ("other", "account")]


def test_the_lists_of_others_are_read_for_what_is_the_same(tmp_path: Path) -> None:
    other = problem("b", uses=event("use", {"payer": "account_id", "shop": "shop"}))

    def place(key: str) -> Path:
        return tmp_path / f"{key}.json"

    assert listed_elsewhere(CHURN, [CHURN, other], place) == {}
    for each in (CHURN, other):
        ForgetList.load(place(each.key)).with_entry(Forgotten("hash", "")).save()
    found = listed_elsewhere(CHURN, [CHURN, other], place)
    assert {noun: [each.entity for each in lists] for noun, lists in found.items()} == {
        "account": [entity_of(other, "payer")]
    }
