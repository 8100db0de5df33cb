"""Mentions of one entity are found by the structure of a text, however an id is escaped; those of others are not."""

import html
import json
from urllib.parse import quote

import pytest

from mlguide_assets import markdown
from mlguide_assets.prepare.forgetting.erasing import Erasure
from mlguide_assets.prepare.forgetting.forget_list import Entity

GUEST = Entity("guest", "guest_id", "guests", "guest_ref", {"bookings": "guest"})
USER = Entity("user", "user_id", "user_profiles", "id", {"user_emails": "user_id"})
IDS = [
    "AB",
    "Müller",
    'O"Neil',
    "O'Brien",
    "b\\c",
    "50% off",
    "日本 太郎",
    "näme+1&x=2",
    "a|b*c",
    "..",
    "<b>",
    "Müller, Jörg/7",
]


def blanked(text: str, key: int | str, entity: Entity = GUEST, others: tuple[str, ...] = ()) -> str:
    done = Erasure(entity, key, frozenset(others)).blanked(text)
    assert len(done.encode()) == len(text.encode())
    return done


def preview(table: str, header: list[str], *rows: list[object]) -> dict[str, object]:
    """What the history of runs keeps of a table."""
    return {
        "metadata_entries": [
            {"label": "dagster/uri", "entry_data": {"text": f"/home/lake/hotel/{table}"}},
            {"label": "preview", "entry_data": {"md_str": markdown.table(header, rows)}},
        ]
    }


def cells(event: str) -> list[list[str]]:
    """The cells of the rows of a preview."""
    text = json.loads(event)["metadata_entries"][1]["entry_data"]["md_str"]
    return [[cell.strip() for cell in line[2:-2].split(" | ")] for line in text.split("\n")[2:]]


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("key", IDS)
class TestJson:
    def test_the_value_under_a_column_goes_and_all_else_stays(self, key: str, ascii_only: bool) -> None:
        rows = [{"guest": key, "n": 1.50}, {"guest_id": f"{key} 2"}, {"name": key}, {"unit_id": key}]
        text = json.dumps({"rows": rows, "guest_ids": [key, "Ann", key]}, indent=1, ensure_ascii=ascii_only)
        left = [{"guest": None, "n": 1.50}, {"guest_id": f"{key} 2"}, {"name": key}, {"unit_id": None}]
        assert json.loads(blanked(text, key)) == {"rows": left, "guest_ids": [None, "Ann", None]}

    def test_json_within_json_is_read_and_stays_json(self, key: str, ascii_only: bool) -> None:
        inner = json.dumps({"guest": key, "other": f"x{key}"}, ensure_ascii=ascii_only)
        outer = json.loads(blanked(json.dumps({"text": inner}, ensure_ascii=ascii_only), key))
        assert json.loads(outer["text"]) == {"guest": None, "other": f"x{key}"}

    def test_a_row_of_a_preview_goes_with_all_its_cells(self, key: str, ascii_only: bool) -> None:
        event = preview("guests", ["guest_ref", "age"], [key, 44], [f"{key} 2", 45])
        text = blanked(json.dumps(event, ensure_ascii=ascii_only), key)
        assert cells(text) == [["", ""], [markdown.escaped(f"{key} 2"), "45"]]

    def test_a_cell_of_a_preview_that_names_it_loses_the_id(self, key: str, ascii_only: bool) -> None:
        event = preview("results", ["rule", "example"], ["a", f"guest {key}, n 3"], ["b", json.dumps({"guest": key})])
        text = blanked(json.dumps(event, ensure_ascii=ascii_only), key, others=(f"{key} 2",))
        (first, told), (second, held) = cells(text)
        assert (first, second, told[:5], told[-3:]) == ("a", "b", "guest", "n 3")
        assert key not in told
        assert json.loads(held.replace("\\", "")) == {"guest": None}


@pytest.mark.parametrize("key", IDS)
@pytest.mark.parametrize(
    "written",
    [
        str,
        html.escape,
        quote,
        lambda key: quote(key, safe=""),
        lambda key: json.dumps(key)[1:-1],
        lambda key: str(html.escape(key)).replace("&#x27;", "&#39;"),
    ],
)
def test_in_words_an_id_is_found_however_it_is_escaped(key: str, written: object) -> None:
    id_ = written(key)  # type: ignore[operator]
    for text in (
        f"read guest {id_}, n 3",
        f"<td>for example guest_ref {id_}</td>",
        f"guest_id={id_}&n=3",
        f"[x] guest_id={id_}",
    ):
        done = blanked(text, key)
        assert id_ not in done.replace("<td>", "").replace("</td>", ""), text
        assert done[-1] == text[-1] or text.endswith(id_)


OTHERS = ("AB 12", "AB/7", "AB, C", "AB-1", "50% AB", "AB%", "AB&C")


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize(
    "text", ["guest {}, n 3", "guest_id={}", "guests: [{}, Ann]", '{{"example": "guest {} is late"}}', "guest {}"]
)
def test_an_id_that_contains_it_is_another_guests(other: str, text: str) -> None:
    said = text.format(other)
    assert blanked(said, "AB", others=OTHERS) == said
    assert blanked(text.format("AB"), "AB", others=OTHERS) != text.format("AB")


@pytest.mark.parametrize("other", ["AB-12", "AB.de", "AB@home", "AB1", "ABü", r"AB\u00fc", "AB%20x", "xAB"])
def test_an_id_that_goes_on_is_not_it_though_nobody_knows_the_other(other: str) -> None:
    if other != "AB%20x":
        assert blanked(f"guest_id={other}", "AB") == f"guest_id={other}"
    assert blanked(json.dumps({"guest": other}), "AB") == json.dumps({"guest": other})


def test_a_number_is_an_id_only_under_its_column() -> None:
    rows = {"user_id": 5, "n": 5, "user_ids": [5, 51, "5", 5.0, 0.5], "id": 5, "users": 5, "of": {"user_id": 55}}
    left = {"user_id": 0, "n": 5, "user_ids": [0, 51, -1, -1, 0.5], "id": 5, "users": 5, "of": {"user_id": 55}}
    assert json.loads(blanked(json.dumps(rows), 5, USER)) == left
    for other in (
        "process id 5 ended",
        "run_id 5",
        "user_id 5.5",
        "user_id 51",
        "user_ids: [15, 51]",
        "5 users",
        "id: 5",
    ):
        assert blanked(other, 5, USER) == other


def test_a_preview_is_read_as_the_table_that_it_is_of() -> None:
    of_user = json.dumps(preview("user_profiles", ["id", "age"], [5, 44], [51, 45]))
    assert cells(blanked(of_user, 5, USER)) == [["", ""], ["51", "45"]]
    of_email = json.dumps(preview("email_content", ["id", "n"], [5, 5]))
    assert blanked(of_email, 5, USER) == of_email
    sends = json.dumps(preview("user_emails", ["email_id", "user_id"], [5, 6], [6, 5]))
    assert cells(blanked(sends, 5, USER)) == [["5", "6"], ["", ""]]
    set_aside = [["user_profiles", "r", "id=5; age=4"], ["email_content", "r", "id=5; n=1"]]
    quarantined = json.dumps(preview("quarantined_rows", ["table", "reasons", "row"], *set_aside))
    assert cells(blanked(quarantined, 5, USER)) == [["", "", ""], ["email_content", "r", "id=5; n=1"]]


@pytest.mark.parametrize("key", ["guest", "kind", "bookings", "id"])
def test_a_problem_file_that_is_shown_stays_as_it_is(key: str) -> None:
    file = markdown.code("of: {guest: guest}\nguest_ref: {kind: id}\nguest: kind\nguest_ref: bookings", "yaml")
    assert blanked(file, key) == file
    event = json.dumps({"md_str": f"It is:\n\n{file}\n"})
    assert blanked(event, key) == event
    of_json = markdown.code(json.dumps({"of": {"guest": key}}), "yaml")
    assert blanked(f"{of_json}\nguest {key}", key).startswith(of_json)


def test_lines_of_json_among_others_are_each_read() -> None:
    lines = ['{"guest": "M\\u00fcller"}', "read guest Müller", '{"guest": "Müller"', "[12:00] guest 'M\\xfcller'"]
    done = blanked("\n".join(lines), "Müller").split("\n")
    assert json.loads(done[0]) == {"guest": None}
    assert not any("ller" in line for line in done)


@pytest.mark.parametrize(
    "text", ["guest:\\nAB", "guest=%20AB", r"guest\u003dAB", r"guest=\x27AB\x27", "guest%3DAB&n=1", "guest AB"]
)
def test_an_id_behind_an_escape_is_not_skipped(text: str) -> None:
    assert "AB" not in blanked(text, "AB")
    assert "AB" not in blanked(json.dumps({"text": text}), "AB")


@pytest.mark.parametrize("key", ["0", "-1", "null", "nil"])
def test_what_stands_for_an_id_is_not_the_id(key: str) -> None:
    assert blanked(f"guest {key}, n 3", key).split(",")[0].removeprefix("guest ").strip() != key
    assert json.loads(blanked(json.dumps({"guest": key}), key))["guest"] not in {key}


def test_texts_that_cannot_mention_it_are_skipped() -> None:
    looks = Erasure(USER, 5).pattern.may_be_in
    assert looks(b'{"user_id": 5.0}')
    assert [text for text in ("user_id 55", "user_id a5", "user_id 0.5", "user_id 5.2", "n 5") if looks(text)] == []


def test_a_row_of_a_table_that_was_cut_is_read_like_any_text() -> None:
    table = "| table | row |\n|---|---|\n| guests |\n| guest AB |\n| bookings | guest=AB; n=1 |"
    assert blanked(table, "AB").split("\n")[2:] == ["| guests |", "| guest -1 |", f"|{'':10}|{'':15}|"]


def test_bytes_that_are_no_text_stay() -> None:
    erasure = Erasure(GUEST, "AB")
    assert erasure.blanked_bytes(b"guest AB\0") == b"guest AB\0"
    assert erasure.blanked_bytes(b"\xff guest AB \xfe") == b"\xff guest -1 \xfe"
