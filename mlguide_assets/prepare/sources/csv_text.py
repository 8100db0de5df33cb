"""CSV files as DuckDB can read them: plain UTF-8 with one kind of line end.

What is so already is left where it is. The rest is copied: out of its compression, and with line ends made alike where
several kinds are mixed. Values in quotes keep theirs.
"""

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa

from mlguide_assets.english import counted
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.sources.finding import COMPRESSED

CHUNK = 1 << 22
DELIMITERS = ",;\t|"
LOOKED_AT = 20
"""Lines at the beginning of a file, by which its header is found."""
_SEPARATOR = re.compile(r'"?sep=(?P<mark>[^\w\s"]|\t)"?', re.IGNORECASE)
"""The line above the header that tells a spreadsheet what stands between values."""
LONGEST_LINE = 4 * CHUNK
"""Bytes. DuckDB says of a line of 2 MB that it is too long; one of 32 MB at the end it leaves out without a word."""
_OPENS_A_VALUE = f'{DELIMITERS}\n"'.encode()
_CODECS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}


def readable_csv(path: Path, scratch: Path) -> Path:
    """The file, or where it must be changed to be read, a changed copy of it in `scratch`.

    Raises:
        InputError: it is not UTF-8, or not what its ending says.
        OSError: the copy cannot be written; it is named.
    """
    compressed = path.name.lower().endswith(COMPRESSED)
    ends = _LineEnds()
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in _chunks(path):
            if not ends.lines and (encoding := _utf16(chunk)):
                raise InputError(f"{path} is UTF-16, and CSV must be written in UTF-8: {_conversion(encoding)}.")
            decoder.decode(chunk)
            ends.count(chunk)
            if ends.since > LONGEST_LINE:
                raise InputError(f"{path} cannot be read as CSV: {too_long_a_line(ends.lines + 1, LONGEST_LINE)}.")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise InputError(_not_utf8(path, error, ends.lines)) from error
    except (OSError, pa.ArrowInvalid) as error:
        if not compressed:
            raise
        raise InputError(f"{path} cannot be decompressed: write it again, whole, or without compression.") from error
    if not compressed and ends.alike:
        return path
    copy = scratch / f"{len(list(scratch.iterdir()))}-{path.name}.csv"
    try:
        with copy.open("wb") as out:
            out.writelines(_chunks(path) if ends.alike else with_line_feeds(_chunks(path)))
    except OSError as error:
        # The file itself was read to its end before: this is the disk of the copy.
        raise OSError(error.errno, error.strerror, str(copy)) from error
    return copy


def too_long_a_line(number: int, most: int, length: int | None = None) -> str:
    """What is wrong with a line of more bytes than are read, and what to do."""
    has = f"{length:,} bytes, and one of more than {most:,}" if length else f"more than {most:,} bytes, and such a one"
    return f"line {number} has {has} is not read; shorten its longest value, or write the table as Parquet"


@dataclass(frozen=True)
class Header:
    """The first line of a CSV file: its column names, the mark between them, and how many lines stand above it."""

    names: list[str]
    delimiter: str
    above: int = 0


def header(path: Path, named: Path) -> Header:
    """The header of a CSV file; a column without a name is named by its place.

    Blank lines above it are left out, as they are below. Values are delimited by what a line `sep=;` above the header
    says, else by commas, semicolons, tabs or bars: by the one that makes most names of the first line, and as many
    values of the next one. So a comma may stand in a name that semicolons delimit.

    Args:
        named: the file as the user knows it.

    Raises:
        InputError: the first line is no header of names, each of its own.
    """
    stated, above = _stated_delimiter(path)
    marks = stated or DELIMITERS
    lines_of = {mark: _first_lines(path, mark, above) for mark in marks}
    several = {mark: lines for mark, lines in lines_of.items() if len(lines[0].values) > 1}
    fitting = [mark for mark, lines in several.items() if len({len(line.values) for line in lines[:2]}) == 1]
    delimiter = max(fitting, key=lambda each: len(several[each][0].values), default=next(iter(several), marks[0]))
    first, *_ = lines_of[delimiter]
    if not fitting or 2 * first.named < len(first.values):
        _refuse_a_title(first, [line for lines in lines_of.values() for line in lines[1:]], named)
    names = [name or f"column{place}" for place, name in enumerate(first.values)]
    if len(names) < 2:
        raise InputError(
            f"{named} starts with {''.join(names)[:80]!r}: its first line must be a header of two column names or more."
        )
    refuse_equal_names(names, named)
    return Header(names, delimiter, above)


def _stated_delimiter(path: Path) -> tuple[str | None, int]:
    """What a line above the header says to be between values, for a spreadsheet that opens the file, and how many lines
    stand there: that one, and blank ones."""
    stated, above = None, 0
    with path.open(encoding="utf-8-sig", newline="") as stream:
        for line in stream:
            found = None if stated else _SEPARATOR.fullmatch(line.rstrip("\r\n"))
            if line.strip() and not found:
                break
            stated = found["mark"] if found else stated
            above += 1
    return stated, above


@dataclass(frozen=True)
class _Line:
    number: int
    values: list[str]

    @property
    def named(self) -> int:
        return sum(1 for value in self.values if value.strip())

    def looks_like_a_header(self, title: "_Line") -> bool:
        """Whether most values are filled, twice as many as in the title, and none starts as a number or date does."""
        filled = self.named >= max(2 * title.named, 2) and 2 * self.named > len(self.values)
        return filled and not any(value[:1].isdigit() for value in self.values)


def _first_lines(path: Path, delimiter: str, above: int) -> list[_Line]:
    """The first line but for those above it, and those below that are not blank; what cannot be parsed ends them."""
    lines: list[_Line] = []
    with path.open(encoding="utf-8-sig", newline="") as stream:
        for _ in range(above):
            stream.readline()
        reader = csv.reader(stream, delimiter=delimiter)
        try:
            for values in islice(reader, LOOKED_AT):
                if values or not lines:
                    lines.append(_Line(above + reader.line_num, values))
        except csv.Error:
            if not lines:
                raise
    return lines or [_Line(1, [])]


def _refuse_a_title(title: _Line, below: list[_Line], named: Path) -> None:
    """Raise InputError where the first line is a title, as reports have it, and the header stands below it."""
    likely = [line for line in below if line.looks_like_a_header(title)]
    if likely:
        header = max(likely, key=lambda line: len(line.values))
        raise InputError(
            f"{named} starts with {title.values[0].strip()[:80]!r}, a line that names {title.named} of "
            f"{counted(len(header.values), 'column')}; line {header.number} looks like the header: remove the lines "
            f"above it, or name every column in the first line."
        )


def refuse_equal_names(names: Sequence[str], path: Path) -> None:
    """Raise InputError where two columns of a file have one name: in SQL, case tells no two apart."""
    lower = [name.lower() for name in names]
    if twice := next((name for name in names if lower.count(name.lower()) > 1), None):
        raise InputError(f"{path} has several columns called {twice!r}: rename or remove all but one.")


def with_line_feeds(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """CSV whose lines end with a line feed each, whatever they ended with; what is in quotes stays as it is.

    >>> b"".join(with_line_feeds(iter([b'a,b\\r', b'\\n"x\\r\\ny",1\\r2,3\\n'])))
    b'a,b\\n"x\\r\\ny",1\\n2,3\\n'
    """
    inside, before, held = False, b"\n", b""
    for chunk in chunks:
        chunk = held + chunk
        held = chunk[-1:] if chunk.endswith(b"\r") else b""
        pieces = chunk[: len(chunk) - len(held)].split(b'"')
        for place, piece in enumerate(pieces):
            if not inside:
                piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
                pieces[place] = piece
            before = piece[-1:] or before
            if place == len(pieces) - 1:
                break
            # A quote opens a value at its start only; one that follows a closing quote doubles it.
            inside = not inside if inside or before in _OPENS_A_VALUE else False
            before = b'"'
        yield b'"'.join(pieces)
    yield b"\n" if held and not inside else held


@dataclass
class _LineEnds:
    """How the lines of a file end, counted chunk by chunk, in quotes or not."""

    feeds: int = 0
    returns: int = 0
    both: int = 0
    last: bytes = b""
    since: int = 0
    """Bytes since the last of them."""

    def count(self, chunk: bytes) -> None:
        self.feeds += chunk.count(b"\n")
        self.returns += chunk.count(b"\r")
        self.both += chunk.count(b"\r\n") + (self.last == b"\r" and chunk.startswith(b"\n"))
        self.last = chunk[-1:]
        end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))
        self.since = len(chunk) - end - 1 if end >= 0 else self.since + len(chunk)

    @property
    def lines(self) -> int:
        return max(self.feeds, self.returns)

    @property
    def alike(self) -> bool:
        return not self.returns or self.returns == self.both == self.feeds


def _chunks(path: Path) -> Iterator[bytes]:
    with pa.input_stream(str(path), compression=_CODECS.get(path.suffix.lower())) as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


_OTHER_FILES = {
    b"\x1f\x8b": "compressed with gzip: give it the ending .csv.gz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: give it the ending .csv.zst",
    b"BZh": "compressed with bzip2: give it the ending .csv.bz2",
    b"PK\x03\x04": "a zip archive or a spreadsheet: unpack it, or save each sheet of it as CSV in UTF-8",
    b"\xd0\xcf\x11\xe0": "a spreadsheet: save each sheet of it as CSV in UTF-8",
    b"PAR1": "Parquet: give it the ending .parquet",
    b"SQLite format 3\0": "a database: give it by itself, as --source sqlite:///PATH",
    b"%PDF": "a PDF: export the table in it as CSV",
}
"""How files begin that are no CSV, and what to do with them."""


def _not_utf8(path: Path, error: UnicodeDecodeError, lines: int) -> str:
    start = next(_chunks(path))
    if what := next((what for mark, what in _OTHER_FILES.items() if start.startswith(mark)), None):
        if path.name.lower().endswith(COMPRESSED):
            return f"{path} holds no CSV, but what is {what.partition(':')[0]}: take that out of its compression first."
        return f"{path} is no CSV, but {what}."
    before = error.object[: error.start]
    line = lines + max(before.count(b"\n"), before.count(b"\r")) + 1
    return (
        f"{path}, line {line}: the byte 0x{error.object[error.start]:02X} is not UTF-8, in which CSV must be written "
        f"(it may be Windows-1252): {_conversion('windows-1252')}."
    )


def _conversion(encoding: str) -> str:
    return f"convert the file, for example with 'iconv -f {encoding} -t utf-8'"


def _utf16(start: bytes) -> str | None:
    """The encoding of what begins with a mark of UTF-16, or where every other byte is 0, as of Latin letters.

    >>> _utf16("id;price".encode("utf-16-le")), _utf16("id;price".encode("utf-16-be")), _utf16(b"id;price")
    ('utf-16le', 'utf-16be', None)
    """
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    first, second = start[:1000:2], start[1:1000:2]
    if not first.count(0) and 2 * second.count(0) > len(second):
        return "utf-16le"
    return "utf-16be" if not second.count(0) and 2 * first.count(0) > len(first) else None
