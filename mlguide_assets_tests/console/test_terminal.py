"""What is printed is data: it is shown as it is, in whatever encoding the terminal has."""

import io
import json
import re
import sys
import warnings

import pytest
from rich.table import Table
from rich.text import Text

from mlguide_assets.console.terminal import PlainConsole, print_in_any_encoding, print_json, print_warnings_as_data

DATA = "[bold]x[/bold] [/b] :smile: \x1b[2J\x9b2J \u202etxt.exe"
SHOWN = "[bold]x[/bold] [/b] :smile: \\x1b[2J\\x9b2J \\u202etxt.exe"


def test_data_are_neither_markup_nor_terminal_control(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    table = Table(box=None, show_header=False, padding=0)
    table.add_row(DATA)
    console = PlainConsole()
    for renderable in (DATA, Text.assemble((DATA, "bold")), table):
        console.print(renderable, style="red")
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [SHOWN] * 3


LONG = "  • Drift. No day was tested yet: 'mlguide ui --home /a/long/path' tests every day that lands."


def test_a_terminal_breaks_lines_between_words_and_never_within_a_command() -> None:
    screen = io.StringIO()
    console = PlainConsole(file=screen, force_terminal=True, width=40)
    console.print(Text.assemble(("Read", "bold"), f"\n{LONG}"))
    console.print("To write it: mlguide export send_plan --out /a/folder/plan.csv", style="red")
    console.print("")
    shown = re.sub("\x1b[^m]*m", "", screen.getvalue()).splitlines()
    assert shown == [
        "Read",
        "  • Drift. No day was tested yet:",
        "    'mlguide ui --home /a/long/path'",
        "    tests every day that lands.",
        "To write it:",
        "  mlguide export send_plan --out /a/folder/plan.csv",
        "",
    ]


def test_elsewhere_a_line_stays_a_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    PlainConsole().print(LONG)
    assert capsys.readouterr().out == f"{LONG}\n"


def test_a_terminal_that_lacks_a_character_shows_another(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="latin-1", errors="strict"))
    print_in_any_encoding()
    PlainConsole().print("✓ Zürich, a file name that is no text: \udcff")
    sys.stdout.flush()
    assert raw.getvalue().decode("latin-1") == "? Zürich, a file name that is no text: ?\n"


def test_warnings_that_quote_data_cannot_steer_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    print_warnings_as_data()
    warnings.showwarning(UserWarning(f"odd value {DATA}"), UserWarning, "somewhere.py", 3)
    said = capsys.readouterr().err
    # Between the kind and the text, libraries that changed `warnings.formatwarning` have other white space.
    assert f"UserWarning: odd value {SHOWN}" in " ".join(said.split())
    assert "\x1b" not in said


def test_json_is_valid_where_a_number_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"low": float("nan"), "high": [float("inf")], "rows": 3})
    printed = capsys.readouterr().out
    assert "NaN" not in printed
    assert printed.endswith("}\n")
    assert json.loads(printed) == {"low": None, "high": [None], "rows": 3}
