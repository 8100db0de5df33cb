"""The page of the problem file names every key of its sections, with the default that the code has."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, TypeAdapter

from mlguide_assets.define.contracts import Rule
from mlguide_assets.define.problem import Problem

PAGE = Path(__file__).parents[2] / "mlguide_assets/define/README.md"
HEADING = "## What every section may say"
TOLD_OTHERWISE = ("features", "watching")
"""Sections that have a text or a table of their own."""


def stated() -> dict[str, str]:
    """The default of each key, as the page has it: two keys of one row have one default, or one each."""
    table = PAGE.read_text(encoding="utf-8").partition(HEADING)[2].partition("\n## ")[0]
    found: dict[str, str] = {}
    for row in re.findall(r"^\| `.*$", table, re.MULTILINE):
        keys, defaults = (re.findall("`(.*?)`", cell) for cell in row.split(" | ")[:2])
        if defaults:
            found |= dict(zip(keys, defaults if len(defaults) > 1 else defaults * len(keys), strict=True))
    return found


def in_code() -> dict[str, tuple[Any, Any]]:
    """The type and the default of each key."""
    found: dict[str, tuple[Any, Any]] = {}
    for name in ("engine", "approval", "policies"):
        field = Problem.model_fields[name]
        found[name] = (field.rebuild_annotation(), field.default)
    for section, field in Problem.model_fields.items():
        if isinstance(field.default, BaseModel) and section not in (*TOLD_OTHERWISE, *found):
            for key, each in type(field.default).model_fields.items():
                found[f"{section}.{key}"] = (each.rebuild_annotation(), each.default)
    return found


@pytest.mark.parametrize("key", in_code())
def test_the_page_has_the_default_of(key: str) -> None:
    kind, default = in_code()[key]
    assert key in stated(), f"say in {PAGE.name}, under {HEADING!r}, what it does and its default"
    assert TypeAdapter(kind).validate_python(yaml.safe_load(stated()[key])) == default


def test_the_page_names_no_key_that_there_is_not() -> None:
    assert stated().keys() <= in_code().keys()


def test_the_page_has_a_valid_example_of_each_rule() -> None:
    (example,) = re.findall(r"```yaml\n(contracts:.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    rules = TypeAdapter(tuple[Rule, ...]).validate_python(yaml.safe_load(example)["contracts"])
    schema = TypeAdapter(Rule).json_schema()
    assert {each.rule for each in rules} == schema["discriminator"]["mapping"].keys() - {"newest_known"}
