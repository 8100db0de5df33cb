"""A YAML file as a validated value of a Pydantic model, or one sentence that says what to fix: file, line, key, remedy.

Problem files and experiment files are read here, so that both are refused in the same words.
"""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from pydantic import BaseModel, ValidationError

from mlguide_assets.define.values import NAME_PATTERN, OWNER_PATTERN
from mlguide_assets.errors import InputError

Document = TypeVar("Document", bound=BaseModel)

_IN_PLAIN_WORDS = {
    "expected <block end>, but found '<block mapping start>'": "the line is indented otherwise than the keys above it",
    "mapping values are not allowed here": "the line is indented further than the key above it, or a text with ': ' in "
    "it is not in quotes",
}
"""What the parser says of the mistakes that are easily made, as where of a '# ' only the '#' is removed."""

MOST_VALUES = 1_000_000
"""Of a document, keys included."""


class TooLargeError(ValueError):
    """A document is of more values, or deeper, than anyone writes."""


def parse_document(content: bytes, path: Path, model: type[Document]) -> Document:
    """Validate the content of a file against a model.

    Args:
        path: named in errors; nothing is read from it.

    Raises:
        InputError: the content is no YAML or not valid; the text names file, line, key and fix.
    """
    try:
        root, values = read_document(content)
    except TooLargeError as error:
        raise InputError(
            f"{path}: this is nested too deeply, or its aliases stand for more than {MOST_VALUES:,} values; write it "
            "out, as the shipped files are."
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or "the bytes are not text"
        reason = _IN_PLAIN_WORDS.get(reason, reason)
        raise InputError(f"{path}{line}: this is not YAML ({reason}); fix the syntax there.") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}, line 1: expected keys and values, such as 'name: my_{model.__name__.lower()}'.")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InputError(_explain(error, cast(yaml.Node, root), path, model)) from error


def place_in(content: bytes, path: Path, key: str) -> str:
    """File, line and key of what a file says, for a fault that is found after it was read.

    Args:
        key: as in `arms.0.weight`; it is in the file.
    """
    root, _ = read_document(content)
    place = tuple(int(part) if part.isdigit() else part for part in key.split("."))
    line, _, _ = _walk(cast(yaml.Node, root), place, {"type": "value_error", "loc": place})
    return f"{path}, line {line + 1}, {key}"


def shipped_names(folder: Path) -> list[str]:
    """The names of the files that come with the package in one of its folders."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def find_document(name_or_file: str, folder: Path, kind: str, *, of_home: Iterable[str] = ()) -> Path:
    """The path of a shipped file, by its name, or of any other.

    Args:
        kind: what such a file describes, such as `problem`.
        of_home: other names that could have been given; none of them was.

    Raises:
        InputError: there is no such file; the text names the nearest name that there is.
    """
    shipped = folder / f"{name_or_file}.yaml"
    path = shipped if shipped.is_file() else Path(name_or_file).expanduser()
    if not path.is_file():
        own = list(of_home)
        names = [*own, *(name for name in shipped_names(folder) if name not in own)]
        close = difflib.get_close_matches(name_or_file, names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else f" ({', '.join(names)})."
        where = f"nor one of this home's or the shipped {kind}s" if own else f"nor one of the shipped {kind}s"
        raise InputError(f"No {kind} {name_or_file!r}: it is neither a file {where}{hint}")
    return path


def read_document(content: bytes) -> tuple[yaml.Node | None, Any]:
    """The nodes of a document, which know their lines, and its values.

    Raises:
        yaml.YAMLError, ValueError: it is no YAML, or far too large.
    """
    # What the quick one says of a mistake is other words on some machines, and it lets tabs pass.
    if b"\t" not in content:
        with suppress(yaml.YAMLError):
            return _read_by(_QUICK, content)
    return _read_by(_Loader, content)


def _read_by(loader: type[Any], content: bytes) -> tuple[yaml.Node | None, Any]:
    try:
        reading = loader(content)
        root = reading.get_single_node()
        if root is not None and _size(root, {}) > MOST_VALUES:
            raise TooLargeError
        return root, reading.construct_document(root) if root else None
    except RecursionError:
        raise TooLargeError from None


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node is once each alias is what it stands for: lines that repeat one another grow fast."""
    if id(node) not in known:
        # Met again below itself, it never ends.
        known[id(node)] = MOST_VALUES
        inside = node.value if isinstance(node, yaml.CollectionNode) else ()
        parts = (part for each in inside for part in (each if isinstance(each, tuple) else (each,)))
        known[id(node)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(node)]


class _Strict(yaml.constructor.SafeConstructor):
    """YAML as usual, but a key may be stated once, and dates stay text: Pydantic's complaint names the key."""

    yaml_implicit_resolvers = {  # noqa: RUF012  (the base declares it as an instance variable)
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        scalars = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        times = Counter(key.value for key in scalars)
        if twice := next((key for key in scalars if times[key.value] > 1), None):
            problem = f"{twice.value!r} is stated twice"
            raise yaml.constructor.ConstructorError(problem=problem, problem_mark=twice.start_mark)
        return super().construct_mapping(node, deep)


class _Loader(_Strict, yaml.SafeLoader):
    """The one that every installation has."""


_QUICK: type[Any] = type("_QuickLoader", (_Strict, yaml.CSafeLoader), {}) if yaml.__with_libyaml__ else _Loader
"""Of C, in a ninth of the time: every command and every process reads a problem."""


def _explain(error: ValidationError, root: yaml.Node, path: Path, model: type[BaseModel]) -> str:
    """One sentence for the first thing that is wrong, and how many more there are."""
    # A misspelt key is also a missing one: name the misspelling.
    first, *others = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
    place, message = _place_of(first)
    line, keys, siblings = _walk(root, place, first)
    key = ".".join(keys) or "the file"
    more = f" ({len(others)} more to fix after this one)" if others else ""
    said = f"{path}, line {line + 1}, {key}: {_fix({**first, 'msg': message}, siblings, model)}{more}"
    return said if said.endswith("?") else f"{said}."


def _walk(root: yaml.Node, place: tuple[int | str, ...], error: Mapping[str, Any]) -> tuple[int, list[str], list[str]]:
    """The line of a fault, from 0, the keys that lead there as the file has them, and all keys beside the last."""
    node: yaml.Node = root
    keys: list[str] = []
    line = root.start_mark.line
    siblings: list[str] = []
    for part in place:
        found = _child(node, part)
        siblings = [str(key.value) for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []
        if found is None:
            # The tag of a union ("files", "range") is in the location but not in the file.
            if part == place[-1] and (error["type"] == "missing" or place != tuple(error["loc"])):
                keys.append(str(part))
            continue
        key_line, node = found
        line = key_line
        keys.append(str(part))
    return line, keys, siblings


def _place_of(error: Mapping[str, Any]) -> tuple[tuple[int | str, ...], str]:
    """Where a fault is, and what it is: a check of several keys begins with the place below it, as `label.window: ...`.

    A key that is no plain word stands in quotes there: `predict.label.where.'user.age': ...`.
    """
    location, message = tuple(error["loc"]), str(error["msg"])
    match = re.match(r"Value error, ([a-z_]+(?:\.(?:[\w*]+|'[^']*'))*): (.*)", message, re.DOTALL)
    if match is None:
        return location, message
    parts = re.findall(r"'[^']*'|[^.']+", match[1])
    return (*location, *(int(part) if part.isdigit() else part.strip("'") for part in parts)), match[2]


def _child(node: yaml.Node, part: int | str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark.line, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line, node.value[part]
    return None


def _fix(error: Mapping[str, Any], siblings: list[str], model: type[BaseModel]) -> str:
    kind, given = error["type"], error.get("input")
    if kind == "missing":
        return "this key is missing; add it"
    if kind == "extra_forbidden":
        return f"unknown key{_nearest(str(error['loc'][-1]), _allowed_keys(error['loc'], model), siblings)}"
    if kind == "string_type" and isinstance(given, bool):
        return "write it in quotes, since YAML reads a bare yes or no as true or false"
    if kind == "string_type" and isinstance(given, (int, float)):
        return f"write it in quotes, as '{given}', since YAML reads it as a number"
    if kind == "union_tag_not_found":
        return f"its {error['ctx']['discriminator']} is missing; add it"
    if kind == "union_tag_invalid":
        tags = re.findall(r"'(\w+)'", error["ctx"]["expected_tags"])
        close = _nearest(error["ctx"]["tag"], tags, [])
        return f"{error['ctx']['tag']!r} is not a {error['ctx']['discriminator']}{close}"
    if kind in ("tuple_type", "list_type", "frozen_set_type"):
        return "write a list: [...], or a line with a dash for each"
    text = _wanted(error) or cast(str, error["msg"]).removeprefix("Value error, ")
    text = text[0].lower() + text[1:]
    if isinstance(given, (str, int, float)) and kind != "value_error":
        return f"{given!r} is not valid: {text}"
    return text


def _wanted(error: Mapping[str, Any]) -> str | None:
    """What to write where the words of Pydantic do not say it."""
    kind, given, context = error["type"], error.get("input"), error.get("ctx", {})
    if kind.startswith(("float_", "int_")) and isinstance(given, str):
        share = _as_share(given)
        whole = "whole " if kind.startswith("int_") else ""
        return f"write a {whole}number" + (f", such as {share:g}" if share is not None and not whole else "")
    if kind.startswith("date_") and isinstance(given, str):
        return "write a day such as 2024-12-31"
    if kind == "string_pattern_mismatch" and context["pattern"] == NAME_PATTERN:
        return "write only a to z, 0 to 9 and _, beginning with a letter, 40 characters at most"
    if kind == "string_pattern_mismatch" and context["pattern"] == OWNER_PATTERN:
        return "write team:NAME, or an email address such as data@example.org"
    bound = context.get("lt", context.get("le"))
    if isinstance(bound, float) and isinstance(given, int | float) and bound <= 1 < given <= 100:
        return f"{error['msg']}; {given:g}% is written {given / 100:g}"
    return None


def _as_share(text: str) -> float | None:
    """A number with a percent sign or a decimal comma; None for another text.

    >>> _as_share("5%"), _as_share("0,05"), _as_share("much")
    (0.05, 0.05, None)
    """
    try:
        number = float(text.strip().removesuffix("%").replace(",", "."))
    except ValueError:
        return None
    share = number / 100 if "%" in text else number
    return share if isfinite(share) else None


def _nearest(word: str, allowed: list[str], siblings: list[str]) -> str:
    close = difflib.get_close_matches(word, [name for name in allowed if name not in siblings], n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known here: {', '.join(allowed)}" if allowed else "; remove it"


def _allowed_keys(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    """The keys that the schema knows at the place of an unknown key."""
    schema: dict[str, Any] = model.model_json_schema()
    definitions = schema.get("$defs", {})
    here = schema
    for part in location[:-1]:
        here = _step(_resolve(here, definitions), part)
    return list(_resolve(here, definitions).get("properties", {}))


def _resolve(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    # What may be left out is a union with null.
    schema = next((each for each in schema.get("anyOf", ()) if "$ref" in each), schema)
    while "$ref" in schema:
        schema = definitions[schema["$ref"].rsplit("/", 1)[1]]
    return schema


def _step(schema: dict[str, Any], part: int | str) -> dict[str, Any]:
    if tags := schema.get("discriminator", {}).get("mapping"):
        return {"$ref": tags[part]} if part in tags else {}
    # Of a union that a function discriminates, the tags are names of models.
    if any(each.get("$ref") == f"#/$defs/{part}" for each in schema.get("oneOf", ())):
        return {"$ref": f"#/$defs/{part}"}
    if isinstance(part, int):
        return cast(dict[str, Any], schema.get("items", {}))
    if part in schema.get("properties", {}):
        return cast(dict[str, Any], schema["properties"][part])
    extra = schema.get("additionalProperties", {})
    return extra if isinstance(extra, dict) else {}
