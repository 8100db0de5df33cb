"""The list of the forgotten keeps them away from every ingest; mentions are blanked and nothing else is."""

from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.forgetting.erasing import Erasure
from mlguide_assets.prepare.forgetting.forget_list import ForgetList, Forgotten, entity_of
from mlguide_assets.prepare.forgetting.same_entities import listed_elsewhere
from mlguide_assets.prepare.ingest import ingest
from mlguide_assets.prepare.oracle import FILE, forget_truth
from mlguide_assets_tests.prepare.ingesting import keep, lake_over
from mlguide_assets_tests.samples import sample_problem, sample_tables, write_sample

PROBLEM = sample_problem("nowhere")
USER = entity_of(PROBLEM, "user")


@pytest.fixture
def listed(tmp_path: Path) -> ForgetList:
    """A list with the users 5 and 7."""
    empty = ForgetList.load(tmp_path / "forgotten.json")
    found = empty.with_entry(Forgotten(empty.hash_of(5, USER), "")).with_entry(Forgotten(empty.hash_of(7, USER), ""))
    found.save()
    return found


def test_rows_of_the_forgotten_are_left_out_and_others_stay(listed: ForgetList, duck: Any) -> None:
    sends = ibis.memtable(pa.table({"user_id": [5, 6, None, 7, 5, 57], "n": range(6)}))
    assert listed.rows_without("user_emails", sends, USER).to_pyarrow()["n"].to_pylist() == [1, 2, 5]
    profiles = ibis.memtable(pa.table({"id": [5, 6], "user_id": [6, 5]}))
    assert listed.rows_without("user_profiles", profiles, USER).to_pyarrow()["id"].to_pylist() == [6]
    exposed = ibis.memtable(pa.table({"unit_id": [5, 6]}))
    assert listed.rows_without("exposures", exposed, USER).to_pyarrow()["unit_id"].to_pylist() == [6]
    emails = ibis.memtable(pa.table({"id": [5, 6]}))
    assert listed.rows_without("email_content", emails, USER) is emails


@pytest.mark.parametrize("content", ["", "{", "[]", '{"salt": "a"}', '{"salt": "a", "entries": [{"who": 5}]}', b"\xff"])
def test_a_damaged_list_is_refused_in_one_sentence(listed: ForgetList, content: str | bytes) -> None:
    """As an empty one, it would bring back who was forgotten."""
    listed.path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError, match=r"forgotten\.json.* is damaged.*restore it"):
        ForgetList.load(listed.path)


def test_the_list_holds_no_key_and_every_list_has_its_own_salt(listed: ForgetList, tmp_path: Path) -> None:
    other = ForgetList.load(tmp_path / "other.json")
    assert ForgetList.load(listed.path) == listed
    assert listed.hash_of(5, USER) != other.hash_of(5, USER)
    assert listed.with_entry(Forgotten(listed.hash_of(5, USER), "later")).entry(5, USER) == Forgotten(
        listed.hash_of(5, USER), "later"
    )
    assert listed.entry(6, USER) is None


@pytest.mark.parametrize(
    ("text", "blanked"),
    [
        (b'{"user_id": 123}', b'{"user_id": -1 }'),
        (b'{"user_id": "123"}', b'{"user_id": null }'),
        (rb"{\"user_id\": 123}", rb"{\"user_id\": -1 }"),
        (b'"user_ids": [1, 123, 4, 123]', b'"user_ids": [1, -1 , 4, -1 ]'),
        (b"for example user_id 123, email_id 123", b"for example user_id -1 , email_id 123"),
        (b"id 123, age 3", b"id -1 , age 3"),
        (b"user_id=123;", b"user_id=-1 ;"),
        (b"user_id 1234 user_id 123.5 123 email_id=123", b"user_id 1234 user_id 123.5 123 email_id=123"),
        (b'"users": 123, "number_of_users": 123', b'"users": 123, "number_of_users": 123'),
    ],
)
def test_mentions_are_blanked_and_nothing_else(text: bytes, blanked: bytes) -> None:
    assert Erasure(USER, 123).blanked_bytes(text) == blanked


def test_a_table_of_numbers_that_names_no_user_is_not_written_again(tmp_path: Path) -> None:
    pq.write_table(pa.table({"shop": [5, 6], "rain": [0.5, 5.0]}), tmp_path / "weather.parquet")
    assert not Erasure(USER, 5).erase_parquet("weather", tmp_path / "weather.parquet", tmp_path / "new.parquet")


def test_a_text_key_is_taken_as_it_is_written() -> None:
    assert Erasure(USER, "a.b").blanked('"user_id": "a.b", "user_id": "aXb"') == '"user_id": "-1 ", "user_id": "aXb"'


@pytest.mark.parametrize("listed_by", ["it", "another problem", "another host"])
def test_the_source_cannot_bring_back_who_was_forgotten(
    listed_by: str, tmp_path: Path, duck: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listed by another problem, perhaps before there was this one; or by another host, whose files are elsewhere."""
    if listed_by == "another host":
        shared = dict[Path, bytes]()
        monkeypatch.setattr("mlguide_assets.prepare.forgetting.forget_list.read", shared.get)
        monkeypatch.setattr(
            "mlguide_assets.prepare.forgetting.forget_list.replace_content", lambda *given, mode: shared.update([given])
        )
    tables = sample_tables()
    user = tables["user_emails"]["user_id"][0].as_py()
    problem = sample_problem(write_sample(tmp_path / "source", tables=tables))
    other = problem.model_copy(update={"name": "other"})
    listing = other if listed_by == "another problem" else problem
    empty = ForgetList.load(tmp_path / f"{listing.key}.json")
    lake = lake_over(duck, tmp_path / "lake")

    def kept() -> set[int]:
        with ingest(
            problem,
            lake,
            oracle=tmp_path / "oracle",
            report=lambda _: None,
            forgotten=tmp_path / f"{problem.key}.json",
            elsewhere=listed_elsewhere(problem, [problem, other], lambda key: tmp_path / f"{key}.json"),
        ) as read:
            keep(lake, read)
            assert all(result.passed for result in read.results)
        sends = lake.read_arrow("user_emails")["user_id"].to_pylist()
        return {*lake.read_arrow("user_profiles")["id"].to_pylist(), *sends}

    assert user in kept()
    empty.with_entry(Forgotten(empty.hash_of(user, USER), "")).save()
    assert kept() == {*tables["user_profiles"]["id"].to_pylist()} - {user}


def test_the_truth_of_a_simulated_world_leaves_them_out_too(listed: ForgetList, tmp_path: Path, duck: Any) -> None:
    pq.write_table(pa.table({"user_id": [5, 6], "probability": [0.1, 0.2]}), tmp_path / FILE)
    forget_truth(tmp_path, listed, PROBLEM, duck)
    assert pq.read_table(tmp_path / FILE).to_pylist() == [{"user_id": 6, "probability": 0.2}]
