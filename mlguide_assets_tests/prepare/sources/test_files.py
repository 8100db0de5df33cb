"""CSV and Parquet files: the odd ones that are read, and the bad ones that are told apart in one sentence."""

import errno
import gzip
import shutil
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.sources.names import UNREADABLE
from mlguide_assets_tests.guide import Guide
from mlguide_assets_tests.prepare.ingesting import accepted, cast_rows, ingested, refusal
from mlguide_assets_tests.samples import arrow, sample_problem, sample_tables, write_sample

SAMPLE = {name: table.to_pylist() for name, table in sample_tables().items()}


def readable(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as they are cast_rows: nothing in them is unreadable."""
    return [{**row, UNREADABLE: None} for row in rows]


PROFILES = readable(SAMPLE["user_profiles"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The sample as CSV files."""
    return write_sample(tmp_path / "shop")


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_what_was_written_is_accepted(kind: Any, duck: Any, tmp_path: Path) -> None:
    assert accepted(sample_problem(write_sample(tmp_path / "shop", kind)), duck, tmp_path) == SAMPLE


def gzipped(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return packed


def in_parts(path: Path, parts: int = 3) -> Path:
    """A CSV file as a folder of its name, with some rows in each file and an empty one, as Spark writes it."""
    header, *rows = path.read_text().splitlines(keepends=True)
    path.unlink()
    path.mkdir()
    for part in range(parts):
        (path / f"part-{part:05}.csv").write_text(header + "".join(rows[part::parts]))
    (path / "part-00009.csv").touch()
    (path / "_SUCCESS").touch()
    (path / ".part-00000.csv.crc").write_bytes(b"crc")
    return path


def parquet_in_parts(folder: Path) -> None:
    rows = sample_tables()["user_profiles"]
    (folder / "user_profiles.csv").unlink()
    (folder / "user_profiles").mkdir()
    for part in range(3):
        day = folder / "user_profiles" / f"day={part}"
        day.mkdir()
        pq.write_table(rows.slice(20 * part, 20), day / "part-00000-0.snappy.parquet")


def parts_through_a_link(folder: Path) -> None:
    """Also where the link leads back to where it is."""
    parts = in_parts(folder / "user_profiles.csv")
    elsewhere = folder.with_name("elsewhere")
    elsewhere.mkdir()
    (parts / "part-00001.csv").rename(elsewhere / "part-00001.csv")
    (parts / "more").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(parts)


def delimited(table: str, mark: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / f"{table}.csv"
        path.write_text(path.read_text().replace(",", mark))

    return change


FORMS: dict[str, Callable[[Path], Any]] = {
    "gzip": lambda folder: gzipped(folder / "user_profiles.csv"),
    "gzip in capitals": lambda folder: gzipped(folder / "user_profiles.csv").rename(folder / "USER_PROFILES.CSV.GZ"),
    "another case": lambda folder: (folder / "user_profiles.csv").rename(folder / "User Profiles.CSV"),
    "parts in CSV": lambda folder: in_parts(folder / "user_profiles.csv"),
    "parts in a folder without an ending": lambda folder: in_parts(folder / "user_profiles.csv").rename(
        folder / "user_profiles"
    ),
    "parts through a link": parts_through_a_link,
    "parts in gzip": lambda folder: [
        gzipped(path) for path in in_parts(folder / "user_profiles.csv").glob("part-0000[0-2]*")
    ],
    "parts in Parquet": parquet_in_parts,
    **{f"delimited by {mark!r}": delimited("user_profiles", mark) for mark in ";\t|"},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_table_may_be_compressed_or_a_folder_of_parts(form: str, duck: Any, folder: Path) -> None:
    FORMS[form](folder)
    assert sorted(cast_rows("user_profiles", folder, duck), key=lambda row: row["id"]) == PROFILES


@pytest.mark.parametrize("name", ["part-00001.txt", "more.xlsx", "part-00001.gz"])
def test_a_file_among_parts_that_may_hold_rows_is_named(name: str, duck: Any, folder: Path) -> None:
    parts = in_parts(folder / "user_profiles.csv")
    (parts / "README.txt").write_text("Three parts, written at night.")
    (parts / "part-00001.csv").rename(parts / name)
    with pytest.raises(
        InputError, match=f"holds {name}, which is not read, beside part-00000.csv: write it as .csv if"
    ):
        cast_rows("user_profiles", folder, duck)


def test_of_two_files_the_problem_file_names_one(duck: Any, folder: Path) -> None:
    write_sample(folder, "parquet")
    with pytest.raises(InputError, match=r"has user_profiles.csv and user_profiles.parquet, each of which could be"):
        cast_rows("user_profiles", folder, duck)
    (folder / "user_profiles.parquet").write_bytes(b"stale")
    assert cast_rows("user_profiles", folder, duck, name="user_profiles.csv") == PROFILES


MIXED: dict[str, Callable[[list[bytes]], bytes]] = {
    "the last line": lambda lines: b"\n".join(lines) + b"\r\n",
    "half of the lines": lambda lines: b"".join(line + (b"\r\n", b"\n")[n % 2] for n, line in enumerate(lines)),
    "carriage returns": lambda lines: b"\r".join(lines) + b"\r",
    "between semicolons": lambda lines: b"\r\n".join(lines).replace(b",", b";") + b"\n",
}


@pytest.mark.parametrize("kind", MIXED)
def test_lines_may_end_in_several_ways(kind: str, duck: Any, folder: Path) -> None:
    path = folder / "user_profiles.csv"
    path.write_bytes(MIXED[kind](path.read_bytes().splitlines()))
    assert cast_rows("user_profiles", folder, duck) == PROFILES


UNIQUE = {"table": "user_emails", "rule": "unique", "columns": ["user_id", "email_id", "delivered_at"]}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_correction_at_the_end_of_a_file_counts_where_older_rows_are_set_aside(
    kind: Any, duck: Any, tmp_path: Path
) -> None:
    tables = sample_tables()
    first, *rest = SAMPLE["user_emails"]
    corrected = {**first, "unsubscribed": {"yes": "no", "no": "yes"}[first["unsubscribed"]]}
    sends = arrow("user_emails", [first, *rest, corrected])
    folder = write_sample(tmp_path / "shop", kind, {**tables, "user_emails": sends})
    problem = sample_problem(folder, contracts=[{**UNIQUE, "action": "quarantine"}])
    found, _ = ingested(problem, duck, tmp_path)
    assert corrected in found["user_emails"]
    assert first not in found["user_emails"]
    assert len(found["user_emails"]) == len(SAMPLE["user_emails"])
    assert len(found["quarantined"]) == 1


def test_the_column_that_says_when_a_row_was_written_decides(duck: Any, folder: Path, tmp_path: Path) -> None:
    in_parts(folder / "user_emails.csv")
    for part, day in (("part-00000.csv", "2024-06-01"), ("part-00001.csv", "2024-06-02"), ("part-00002.csv", "x")):
        header, first, *rows = lines(folder / "user_emails.csv" / part)
        label = {"part-00000.csv": "no", "part-00001.csv": "yes"}.get(part)
        again = [f'1,1,"{label}",2024-05-01'] if label else []
        text = [f"{header},Written At", *(f"{row},{day}" for row in [first, *rows, *again])]
        (folder / "user_emails.csv" / part).write_text("\n".join(text).replace(",x", ",") + "\n")
    mapping = {"user_emails": {"known_at": "written_at"}}
    problem = sample_problem(folder, contracts=[{**UNIQUE, "action": "quarantine"}], tables=mapping)
    found, _ = ingested(problem, duck, tmp_path)
    assert found["user_emails"][-1] == {
        "user_id": 1, "email_id": 1, "unsubscribed": "yes", "delivered_at": datetime(2024, 5, 1),
        "written_at": datetime(2024, 6, 2),
    }  # fmt: skip
    with pytest.raises(InputError, match="no column says which is newer"):
        ingested(sample_problem(folder, contracts=[{**UNIQUE, "action": "quarantine"}]), duck, tmp_path)


def test_a_column_that_a_part_lacks_is_missing(duck: Any, folder: Path) -> None:
    parquet_in_parts(folder)
    part = folder / "user_profiles" / "day=1" / "part-00000-0.snappy.parquet"
    pq.write_table(pq.ParquetFile(part).read().drop_columns(["age"]), part)
    with pytest.raises(InputError, match=r"day=1/part-00000-0.snappy.parquet has no column 'age', which other parts"):
        cast_rows("user_profiles", folder, duck)


def reversed_columns(text: str) -> str:
    rows = [[cell.strip('"') for cell in line.split(",")] for line in text.splitlines()]
    return "\n".join(",".join(reversed(row)) for row in rows) + "\n"


# Nothing in the profiles holds a comma, so these may edit them as text.
ODD: dict[str, Callable[[str], str]] = {
    "a byte order mark": lambda text: "\ufeff" + text,
    "Windows line ends": lambda text: text.replace("\n", "\r\n"),
    "no line end after the last row": lambda text: text.rstrip("\n"),
    "blank lines": lambda text: text + "\n\n",
    "blank lines above the header": lambda text: "\n\n" + text,
    "no quotes": lambda text: text.replace('"', ""),
    "its delimiter above the header": lambda text: "sep=;\r\n" + text.replace(",", ";"),
    "capitals in the header": lambda text: text.replace("date joined", "Date_Joined", 1),
    "spaces around values": lambda text: text.replace('"US"', " US ").replace('"male"', '" male "'),
    "an extra column": lambda text: "\n".join(f"{line},{n}" for n, line in enumerate(text.splitlines())),
    "an extra column without a name": lambda text: "\n".join(f"{line}," for line in text.splitlines()),
    "another order of columns": reversed_columns,
    "numbers with a zero fraction": lambda text: "\n".join(
        line if n == 0 else f"{line}.0" for n, line in enumerate(text.splitlines())
    ),
    "times with an offset": lambda text: text.replace("00:00:00.000000", "02:00:00+02:00"),
    "times in Zulu": lambda text: text.replace(" 00:00:00.000000", "T00:00:00Z"),
    "dates without a time": lambda text: text.replace(" 00:00:00.000000", ""),
}


@pytest.mark.parametrize("oddity", ODD)
def test_an_odd_file_is_read_as_what_it_means(oddity: str, duck: Any, folder: Path) -> None:
    path = folder / "user_profiles.csv"
    changed = ODD[oddity](path.read_text())
    assert changed != path.read_text()
    path.write_bytes(changed.encode())
    assert cast_rows("user_profiles", folder, duck) == PROFILES


@pytest.mark.parametrize(
    "subject", ['a,b;c|d\t"e"', "two\nlines", "two\r\nlines", "#1 of 'all'", "\\", "안녕 – ☕", "nullify", "NA"]
)
def test_a_text_is_read_as_it_is(subject: str, duck: Any, tmp_path: Path) -> None:
    tables = sample_tables()
    content = [{**row, "subject": subject} for row in tables["email_content"].to_pylist()]
    folder = write_sample(tmp_path / "shop", tables={**tables, "email_content": arrow("email_content", content)})
    assert cast_rows("email_content", folder, duck) == readable(content)


def test_a_row_that_starts_like_a_comment_is_kept(duck: Any, folder: Path) -> None:
    path = folder / "email_content.csv"
    header, *rows = lines(path)
    path.write_text("\n".join([f"note,{header}", *(f"#{n},{row}" for n, row in enumerate(rows))]) + "\n")
    assert cast_rows("email_content", folder, duck) == readable(SAMPLE["email_content"])


def test_missing_values_are_missing(duck: Any, folder: Path) -> None:
    path = folder / "user_profiles.csv"
    header, first, *rest = lines(path)
    identity, joined, *_ = first.split(",")
    path.write_text("\n".join([header, f'{identity},{joined},"", ,,,', *rest]) + "\n")
    found = cast_rows("user_profiles", folder, duck)[0]
    empty = dict.fromkeys(["gender", "age", "country", "words_in_description", "purchases"])
    assert found == {**PROFILES[0], **empty}


def test_other_names_can_be_mapped(duck: Any, folder: Path, tmp_path: Path) -> None:
    (folder / "user_emails.csv").rename(folder / "deliveries.csv")
    path = folder / "deliveries.csv"
    path.write_text(path.read_text().replace("delivered at", "Sent On", 1).replace("unsubscribed", "lost", 1))
    mapping = {"user_emails": {"from": "deliveries", "columns": {"delivered_at": "sent_on", "unsubscribed": "lost"}}}
    assert accepted(sample_problem(folder, tables=mapping), duck, tmp_path) == SAMPLE


def profiles_as(**columns: pa.Array) -> pa.Table:
    profiles = sample_tables()["user_profiles"]
    for name, values in columns.items():
        profiles = profiles.set_column(profiles.column_names.index(name), name, values)
    return profiles


JOINED = [row["date_joined"] for row in SAMPLE["user_profiles"]]
AGES = [row["age"] for row in SAMPLE["user_profiles"]]
TYPES = {
    "dates": profiles_as(date_joined=pa.array([time.date() for time in JOINED], pa.date32())),
    "nanoseconds": profiles_as(date_joined=pa.array(JOINED, pa.timestamp("ns"))),
    "seconds": profiles_as(date_joined=pa.array(JOINED, pa.timestamp("s"))),
    "a time zone": profiles_as(date_joined=pa.array(JOINED, pa.timestamp("us")).cast(pa.timestamp("us", "Asia/Seoul"))),
    "text": profiles_as(date_joined=pa.array([str(time) for time in JOINED]), age=pa.array(map(str, AGES))),
    "floats": profiles_as(age=pa.array(AGES, pa.float64())),
    "small integers": profiles_as(age=pa.array(AGES, pa.uint8())),
    "decimals": profiles_as(age=pa.array([Decimal(age) for age in AGES], pa.decimal128(9, 2))),
    "dictionaries": profiles_as(gender=sample_tables()["user_profiles"]["gender"].combine_chunks().dictionary_encode()),
}


@pytest.mark.parametrize("kind", TYPES)
def test_a_parquet_file_may_have_other_types_for_the_same_values(kind: str, duck: Any, tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "shop", "parquet", {**sample_tables(), "user_profiles": TYPES[kind]})
    assert cast_rows("user_profiles", folder, duck) == PROFILES


def test_a_time_with_a_zone_becomes_utc(duck: Any, tmp_path: Path) -> None:
    noon = pa.array([datetime(2023, 6, 1, 12)] * len(JOINED), pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
    zoned = profiles_as(date_joined=noon.cast(pa.timestamp("us", "Asia/Seoul")))
    folder = write_sample(tmp_path / "shop", "parquet", {**sample_tables(), "user_profiles": zoned})
    found = cast_rows("user_profiles", folder, duck)
    assert {row["date_joined"] for row in found} == {datetime(2023, 6, 1, 12)}


def rewrite(name: str, change: Callable[[str], str | bytes]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / f"{name}.csv"
        changed = change(path.read_text())
        assert changed != path.read_text()
        path.write_bytes(changed if isinstance(changed, bytes) else changed.encode())

    return apply


def first_row(**cells: str) -> Callable[[Path], None]:
    """Replace cells of the first send."""

    def change(text: str) -> str:
        header, first, *rest = text.splitlines()
        names = [name.strip('"').replace(" ", "_") for name in header.split(",")]
        row = [cells.get(name, cell) for name, cell in zip(names, first.split(","), strict=True)]
        return "\n".join([header, ",".join(row), *rest])

    return rewrite("user_emails", change)


def header(before: str, after: str) -> Callable[[Path], None]:
    return rewrite("user_emails", lambda text: text.replace(before, after, 1))


def row_after(line: int, row: str) -> Callable[[Path], None]:
    def change(text: str) -> str:
        rows = text.splitlines()
        return "\n".join([*rows[:line], row, *rows[line:]])

    return rewrite("user_emails", change)


def corrupt_parquet(folder: Path) -> None:
    (folder / "user_emails.csv").unlink()
    (folder / "user_emails.parquet").write_bytes(b"PAR1 and nothing more")


def folder_for_file(folder: Path) -> None:
    (folder / "user_emails.csv").unlink()
    (folder / "user_emails.csv").mkdir()


ASIDE = "; or set these rows aside, with {table: user_emails, rule: "


def latin_parquet(folder: Path) -> None:
    """As a tool writes it that takes bytes for text."""
    subjects = [b"Subject", *[b"Suj\xe9t"] * 11]
    rows = sample_tables()["email_content"]
    place = rows.column_names.index("subject")
    (folder / "email_content.csv").unlink()
    pq.write_table(rows.set_column(place, "subject", pa.array(subjects, pa.binary())), folder / "email_content.parquet")


def damaged_parquet(folder: Path) -> None:
    path = folder / "user_emails.parquet"
    (folder / "user_emails.csv").unlink()
    pq.write_table(sample_tables()["user_emails"], path, compression="zstd")
    content = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    start, end = column.data_page_offset, column.data_page_offset + column.total_compressed_size // 2
    content[start:end] = b"\xff" * (end - start)
    path.write_bytes(content)


def doubled_column(folder: Path, name: str = "theme") -> None:
    rows = sample_tables()["email_content"]
    (folder / "email_content.csv").unlink()
    pq.write_table(rows.append_column(name, rows["theme"]), folder / "email_content.parquet")


def half_a_gzip(folder: Path) -> None:
    packed = gzipped(folder / "user_emails.csv")
    packed.write_bytes(packed.read_bytes()[:500])


def gzip_without_its_ending(folder: Path) -> None:
    packed = gzipped(folder / "user_emails.csv")
    packed.rename(folder / "user_emails.csv")


def gzip_of_gzip(folder: Path) -> None:
    packed = gzipped(folder / "user_emails.csv")
    packed.write_bytes(gzip.compress(packed.read_bytes()))


def parquet_called_csv(folder: Path) -> None:
    pq.write_table(sample_tables()["user_emails"], folder / "user_emails.csv")


BAD: dict[str, tuple[Callable[[Path], Any], tuple[str, ...]]] = {
    "missing folder": (shutil.rmtree, ("source folder", "does not exist", "check --source")),
    "missing file": (
        lambda folder: (folder / "user_emails.csv").unlink(),
        (
            "neither user_emails.parquet nor user_emails.csv",
            "it has email_content.csv, user_profiles.csv",
            "add the file",
        ),
    ),
    "empty file": (rewrite("user_emails", lambda _: ""), ("user_emails.csv is empty", "needs a header line and rows")),
    "header only": (rewrite("user_emails", lambda text: text.splitlines()[0]), ("user_emails of", "has no rows")),
    "blank lines only": (rewrite("user_emails", lambda _: "\n\n"), ("user_emails.csv starts with ''", "a header")),
    "no header": (
        rewrite("user_emails", lambda text: text.split("\n", 1)[1]),
        ("has no column 'user_id'", "map it under tables"),
    ),
    "title above the header": (
        rewrite("user_emails", lambda text: "Export\n" + text),
        ("starts with 'Export'", "line 2 looks like the header"),
    ),
    "a carriage return within a value": (
        rewrite("user_emails", lambda text: text.replace("\n", "\n1,2\r", 1)),
        ("line 2 has 2 values", "carriage return alone: quote the values that hold one"),
    ),
    "a web page": (rewrite("user_emails", lambda _: "<html>\nSign in\n</html>"), ("starts with '<html>'", "a header")),
    "missing column": (
        rewrite("user_emails", lambda text: "\n".join(line.rsplit(",", 1)[0] for line in text.splitlines())),
        ("user_emails of", "has no column 'delivered_at'", "it has 'user_id', 'email_id', 'unsubscribed'"),
    ),
    "renamed column": (
        header("delivered at", "delivery at"),
        ("has no column 'delivered_at'", "perhaps now 'delivery_at'", "rename it there, or map it under tables"),
    ),
    "ambiguous columns": (
        rewrite(
            "user_emails",
            lambda text: "\n".join(
                f"{line},{'Delivered-At' if n == 0 else n}" for n, line in enumerate(text.splitlines())
            ),
        ),
        ("several columns that could be 'delivered_at'", "map one of them"),
    ),
    "columns of one name": (header('"unsubscribed"', '"User_Id"'), ("several columns called 'user_id'", "all but one")),
    "a row too short at the start": (
        row_after(1, "1,2"),
        ("user_emails.csv cannot be read as CSV: line 2 has 2 values, where its header has 4 columns",),
    ),
    "a row too long": (row_after(300, "1,2,no,2024-01-01,x"), ("cannot be read", "line 301 has 5 values")),
    "a row too short at the end": (row_after(601, "1"), ("cannot be read", "line 602 has 1 values")),
    "a quote that never ends": (
        row_after(300, '1,2,"no,2024-01-01'),
        ("cannot be read", "line 301 has a quote that is not closed"),
    ),
    "a line too long": (
        row_after(300, f"1,2,no,{'x' * 2_100_000}"),
        ("line 301 has 2,100,008 bytes, and one of more than 2,000,000 is not read; shorten its longest value",),
    ),
    "a last line that the engine leaves out": (
        rewrite("user_emails", lambda text: text + f"1,2,no,{'x' * 35_000_000}"),
        ("user_emails.csv cannot be read as CSV: line 602 has more than 16,777,216 bytes", "or write the table as"),
    ),
    "a quote that never ends, and much below it": (
        row_after(300, '1,2,"no,2024-01-01' + "\n1,2,no,2024-01-01" * 130_000),
        ("cannot be read", "line 301 has a quote that is not closed"),
    ),
    "a row too long below the delimiter": (
        rewrite("user_emails", lambda text: "sep=,\n" + text + "1,2,no,2024-01-01,x\n"),
        ("cannot be read", "line 603 has 5 values"),
    ),
    "Latin-1": (
        rewrite("email_content", lambda text: text.replace("Subject", "Sujét").encode("latin-1")),
        ("email_content.csv, line 2: the byte 0xE9 is not UTF-8", "iconv -f windows-1252 -t utf-8"),
    ),
    "Latin-1 beyond the first megabytes": (
        rewrite(
            "email_content", lambda text: (text + text.split("\n", 1)[1] * 4000).encode() + "Sujét".encode("latin-1")
        ),
        ("email_content.csv, line 48014: the byte 0xE9 is not UTF-8",),
    ),
    "UTF-16": (
        rewrite("email_content", lambda text: text.encode("utf-16")),
        ("email_content.csv is UTF-16, and CSV must be written in UTF-8", "'iconv -f utf-16 -t utf-8'"),
    ),
    "UTF-16 without its mark": (
        rewrite("email_content", lambda text: text.replace("Subject", "Sujét").encode("utf-16-be")),
        ("email_content.csv is UTF-16, and CSV must be written in UTF-8", "'iconv -f utf-16be -t utf-8'"),
    ),
    "a folder for a file": (
        folder_for_file,
        ("has user_emails.csv, which cannot be read as table 'user_emails'", "a folder of such files"),
    ),
    "a file for the folder": (
        lambda folder: [shutil.rmtree(folder), folder.write_text("id")],
        ("is a file: give the folder that holds the tables",),
    ),
    "another format": (
        lambda folder: (folder / "user_emails.csv").rename(folder / "user_emails.xlsx"),
        ("has user_emails.xlsx, which cannot be read as table 'user_emails': write it as",),
    ),
    "Latin-1 in Parquet": (latin_parquet, ("email_content.parquet, row 2: the text in 'subject' is not UTF-8",)),
    "a second header": (
        row_after(300, "user id,email id,unsubscribed,delivered at"),
        ("user_id holds 'user id', its own name: a second header stands among the rows; remove that line",),
    ),
    "damaged Parquet": (damaged_parquet, ("user_emails.parquet is damaged: some of its rows cannot be read",)),
    "two columns of one name": (doubled_column, ("email_content.parquet has several columns called 'theme': rename",)),
    "two columns but for case": (
        lambda folder: doubled_column(folder, "THEME"),
        ("email_content.parquet has several columns called 'theme': rename or remove all but one",),
    ),
    "gzip without its ending": (
        gzip_without_its_ending,
        ("user_emails.csv is no CSV, but compressed with gzip: give it the ending .csv.gz",),
    ),
    "gzip of gzip": (
        gzip_of_gzip,
        ("user_emails.csv.gz holds no CSV, but what is compressed with gzip: take that out",),
    ),
    "Parquet called CSV": (
        parquet_called_csv,
        ("user_emails.csv is no CSV, but Parquet: give it the ending .parquet",),
    ),
    "half a gzip": (half_a_gzip, ("user_emails.csv.gz cannot be decompressed",)),
    "parts of different columns": (
        lambda folder: (in_parts(folder / "user_emails.csv") / "part-00001.csv").write_text("id,age\n1,2\n"),
        ("part-00001.csv and part-00000.csv have different headers",),
    ),
    "parts that are still written": (
        lambda folder: (in_parts(folder / "user_emails.csv") / "_temporary").mkdir(),
        ("user_emails.csv is still being written",),
    ),
    "a table of Delta Lake": (
        lambda folder: (in_parts(folder / "user_emails.csv") / "_delta_log").mkdir(),
        ("is a table of Delta Lake or Iceberg",),
    ),
    "corrupt Parquet": (
        corrupt_parquet,
        ("user_emails.parquet cannot be read as parquet: it is cut short, damaged or something else",),
    ),
    "unparseable date": (
        first_row(delivered_at="01/02/2024"),
        ("breaks user_emails.values_are_well_typed in 1 of 600 rows", "delivered_at=01/02/2024", f"{ASIDE}well_typed"),
    ),
    "unknown label": (
        first_row(unsubscribed="maybe"),
        (
            "unsubscribed_is_known in 1 of 600",
            "unsubscribed maybe: 'maybe' is neither the positive nor the negative outcome",
            f"{ASIDE}one_of",
        ),
    ),
    "null key": (first_row(user_id=""), ("user_emails.user_id_is_present in 1 of 600 rows", f"{ASIDE}present")),
    "duplicate key": (
        rewrite("user_emails", lambda text: text + text.splitlines()[-1] + "\n"),
        (
            "user_id_email_id_delivered_at_is_unique in 1 of 601 rows",
            "for example user_id",
            "keep the newest and set the others aside, with",
        ),
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_file_is_reported_in_one_sentence(fault: str, duck: Any, folder: Path, tmp_path: Path) -> None:
    spoil, wanted = BAD[fault]
    spoil(folder)
    message = refusal(sample_problem(folder), duck, tmp_path)
    for words in wanted:
        assert words in message


def test_what_the_machine_lacks_is_not_called_a_fault_of_the_file(
    duck: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: Any) -> Any:
        raise duckdb.OutOfMemoryException("failed to allocate data of size 2.0 MiB")

    monkeypatch.setattr("mlguide_assets.prepare.sources.files._CsvPart.opened", opened)
    with pytest.raises(duckdb.OutOfMemoryException):
        cast_rows("user_profiles", folder, duck)


def test_a_full_disk_of_a_copy_is_not_called_a_fault_of_the_file(
    duck: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gzipped(folder / "user_profiles.csv")

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    opened = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, mode="r", **more: (full if "w" in mode else opened)(path, mode, **more)
    )
    with pytest.raises(OSError, match="No space left") as caught:
        cast_rows("user_profiles", folder, duck)
    assert caught.value.filename.startswith(f"{folder} scratch")


WRONG_CELLS = {
    "impossible date": ({"delivered_at": "2024-02-30"}, "delivered_at=2024-02-30"),
    "another order": ({"delivered_at": "01/02/2024"}, "delivered_at=01/02/2024"),
    "name of a zone": ({"delivered_at": "2024-01-01 00:00 Asia/Seoul"}, "delivered_at=2024-01-01 00:00 Asia/Seoul"),
    "number that is no integer": ({"user_id": "1.5"}, "user_id=1.5"),
    "number in words": ({"user_id": "one"}, "user_id=one"),
    "number with a unit": ({"email_id": "7 km"}, "email_id=7 km"),
    "number too large": ({"user_id": "9" * 30}, "user_id=" + "9" * 30),
    "several": ({"user_id": "x", "delivered_at": "y"}, "user_id=x, delivered_at=y"),
}


@pytest.mark.parametrize("kind", WRONG_CELLS)
def test_what_does_not_read_as_its_type_is_kept_as_it_was_written(kind: str, duck: Any, folder: Path) -> None:
    cells, wanted = WRONG_CELLS[kind]
    first_row(**cells)(folder)
    first, *rest = cast_rows("user_emails", folder, duck)
    assert first[UNREADABLE] == wanted
    assert [first[name] for name in cells] == [None] * len(cells)
    assert rest == readable(SAMPLE["user_emails"])[1:]


def test_an_infinite_time_is_none_as_it_is_from_a_database(duck: Any, folder: Path, tmp_path: Path) -> None:
    first_row(delivered_at="infinity")(folder)
    first = cast_rows("user_emails", folder, duck)[0]
    assert (first["delivered_at"], first[UNREADABLE]) == (None, None)
    assert "user_emails.delivered_at_is_present in 1 of 600 rows" in refusal(sample_problem(folder), duck, tmp_path)


def test_all_broken_rules_are_counted(duck: Any, folder: Path, tmp_path: Path) -> None:
    first_row(unsubscribed="maybe", user_id="x", email_id="")(folder)
    message = refusal(sample_problem(folder), duck, tmp_path)
    assert "breaks user_emails.values_are_well_typed in 1 of 600 rows" in message
    assert (
        "2 more blocking rule(s) are broken: user_emails.email_id_is_present, user_emails.unsubscribed_is_known"
        in message
    )


def test_a_column_of_another_kind_is_unreadable_and_not_guessed(duck: Any, tmp_path: Path) -> None:
    flags = profiles_as(age=pa.array([True] * len(AGES)))
    folder = write_sample(tmp_path / "shop", "parquet", {**sample_tables(), "user_profiles": flags})
    assert {row[UNREADABLE] for row in cast_rows("user_profiles", folder, duck)} == {"age=true"}


def test_times_of_day_are_no_times(duck: Any, tmp_path: Path) -> None:
    clock = profiles_as(date_joined=pa.array([0] * len(AGES), pa.time64("us")))
    folder = write_sample(tmp_path / "shop", "parquet", {**sample_tables(), "user_profiles": clock})
    assert {row[UNREADABLE] for row in cast_rows("user_profiles", folder, duck)} == {"date_joined=00:00:00"}


def test_the_guides_files_are_read_whole(guide_tables: Guide, duck: Any, tmp_path: Path) -> None:
    tables, _ = ingested(sample_problem(guide_tables.folder), duck, tmp_path)
    assert {name: len(rows) for name, rows in tables.items()} == {
        "user_profiles": guide_tables.users,
        "email_content": guide_tables.emails,
        "user_emails": guide_tables.sends,
        "quarantined": 0,
    }
