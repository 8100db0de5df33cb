"""Problem files in the old form, which knew three tables by heart, rewritten in the form for any tables.

Lines that mean the same in both forms are kept as they are, comments too. It reads no data.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

OLD_KEYS = ("decision", "label", "event_time", "themes", "categories")
"""Top-level keys that only the old form has."""

_RENAMED = {"costs": {"lost_user": "missed", "withheld_send": "false_alarm"}}
"""What keys below a top-level key are called now."""

_MODEL = Path(__file__).parent / "problems" / "guide.yaml"
"""The same three tables in the new form."""

_SLICES = "[country, theme, category]"
"""What the old form sliced by where the file did not say."""

_COUNTED = {"themes": "theme", "categories": "category"}
"""Lists of values in the old form: the column of emails that holds them."""

Lines = list[str]


def is_old_form(values: Mapping[str, Any]) -> bool:
    """Whether the content of a problem file is in the old form.

    >>> is_old_form({"event_time": "delivered_at"})
    True
    """
    given = values.get("tables")
    tables = given.values() if isinstance(given, Mapping) else ()
    declared = any(isinstance(table, Mapping) and {"entity", "event"} & table.keys() for table in tables)
    return not declared and any(key in values for key in OLD_KEYS)


def convert(text: str) -> str:
    """The problem file in the new form that means what a valid one in the old form meant."""
    old = yaml.load(text, yaml.BaseLoader)
    model = _blocks(_MODEL.read_text(encoding="utf-8"))
    lines: Lines = []
    for key, block in _blocks(text).items():
        if key == "evaluation":
            lines += _with_slices(block, old[key])
        elif key not in (*OLD_KEYS, "tables"):
            lines += _renamed(key, block)
        if key == "source":
            lines += _separated(_with_tables(model["tables"], old.get("tables") or {}))
            lines += _separated(_predicted(old["label"]))
            lines += _separated(_with_values(model["features"], old))
    if "evaluation" not in old:
        lines += ["", f"evaluation: {{slices: {_SLICES}}}"]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n") + "\n"


def _blocks(text: str) -> dict[str, Lines]:
    """Each top-level key with its lines, and the comments right above it."""
    lines = text.splitlines()
    root = yaml.compose(text)
    starts = [(str(key.value), key.start_mark.line) for key, _ in root.value] if root else []
    heads = []
    for _, start in starts:
        head = start
        while head > 0 and (not lines[head - 1].strip() or lines[head - 1].startswith("#")):
            head -= 1
        heads.append(head)
    ends = [*heads[1:], len(lines)]
    return {key: lines[head:end] for (key, _), head, end in zip(starts, heads, ends, strict=True)}


def _separated(block: Lines) -> Lines:
    return ["", *block]


def _renamed(key: str, block: Lines) -> Lines:
    for before, after in _RENAMED.get(key, {}).items():
        block = [re.sub(rf"\b{before}\b(?=\s*:)", after, line) for line in block]
    return block


def _with_slices(block: Lines, old: Any) -> Lines:
    if not isinstance(old, Mapping) or "slices" in old:
        return block
    place = next(place for place, line in enumerate(block) if line.startswith("evaluation:"))
    first = block[place]
    if "{" in first.partition("#")[0]:
        return [*block[:place], first.replace("{", f"{{slices: {_SLICES}, ", 1), *block[place + 1 :]]
    return [*block[: place + 1], f"  slices: {_SLICES}", *block[place + 1 :]]


def _with_tables(block: Lines, old: Mapping[str, Any]) -> Lines:
    """The block of tables, with what the old form said of their names, columns and formats."""
    lines: Lines = []
    table: Mapping[str, Any] = {}
    for line in block:
        if match := re.fullmatch(r"  (\w+):", line):
            table = old.get(match[1]) or {}
        columns = {key: _mapped(value) for key, value in (table.get("columns") or {}).items()}
        column = re.fullmatch(r"      (\w+): (\{.*\})", line)
        if column and column[1] in columns:
            line = f"      {column[1]}: {flow({**yaml.load(column[2], yaml.BaseLoader), **columns[column[1]]})}"
        lines.append(line)
        if match and table.get("name"):
            lines.append(f"    from: {flow(table['name'])}")
        if line == "    columns:" and table.get("known_at"):
            known = _ours(str(table["known_at"]), columns)
            lines[-1:] = [f"    known_at: {flow(known)}", line]
            lines += [] if known in columns else [f"      {flow(known)}: time"]
    return lines


def _mapped(value: Any) -> dict[str, Any]:
    return {"name": value} if isinstance(value, str) else dict(value)


def _ours(name: str, columns: Mapping[str, Mapping[str, Any]]) -> str:
    """The old form named this column as the source does."""
    return next((ours for ours, mapped in columns.items() if mapped.get("name") == name), name)


def _predicted(label: Mapping[str, Any]) -> Lines:
    return [
        "predict:",
        "  each: send",
        "  choose: email",
        "  label:",
        "    column: unsubscribed",
        f'    positive: "{label["positive"]}"',
        f'    negative: "{label["negative"]}"',
        f"    window: {label['window']}",
        "    ends_unit: true",
    ]


def _with_values(block: Lines, old: Mapping[str, Any]) -> Lines:
    """The block of features. Values that are counted one by one are named where no rule of the contract names them."""
    rules = [rule for rule in old.get("contracts") or () if rule.get("rule") == "one_of"]
    stated = {rule["column"]: rule["values"] for rule in rules if rule.get("table") == "email_content"}
    for key, column in _COUNTED.items():
        if stated.get(column) != old[key]:
            split = f"split: email.{column}"
            block = [line.replace(f"{split}}}", f"{split}, values: {flow(old[key])}}}") for line in block]
    return block


def flow(value: Any) -> str:
    """A value as YAML in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=1_000_000)
    return text.strip().removesuffix("...").strip()
