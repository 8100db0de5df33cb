"""Reading problem files: from YAML to a validated `Problem`, or to one sentence that says what to mend."""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import ValidationError

from mlguide_assets.define.problem import DatabaseSource, FilesSource, Problem, SimulatorSource
from mlguide_assets.define.secrets import shown_address
from mlguide_assets.errors import InputError
from mlguide_assets.settings import Home

SHIPPED = Path(__file__).parent / "problems"
DEFAULT_PROBLEM = "planeswalker"
PROBLEM_VARIABLE = "MLGUIDE_PROBLEM"


def shipped_problems() -> list[str]:
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def load_problem(name_or_file: str) -> Problem:
    """Load a shipped problem by its name, or any problem file by its path.

    Raises:
        InputError: no such problem, or the file is not valid; the text names file, line, key and fix.
    """
    shipped = SHIPPED / f"{name_or_file}.yaml"
    path = shipped if shipped.is_file() else Path(name_or_file).expanduser()
    if not path.is_file():
        close = difflib.get_close_matches(name_or_file, shipped_problems(), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else f" ({', '.join(shipped_problems())})."
        raise InputError(f"No problem {name_or_file!r}: it is neither a file nor one of the shipped problems{hint}")
    return parse_problem(path.read_bytes(), path)


def parse_problem(content: bytes, path: Path) -> Problem:
    """Validate the content of a problem file; `path` is named in errors and anchors relative source folders."""
    try:
        loader = _Loader(content)
        root = loader.get_single_node()
        values = loader.construct_document(root) if root else None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or "the bytes are not text"
        raise InputError(f"{path}{line}: this is not YAML ({reason}); mend the syntax there.") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}, line 1: expected keys and values, such as 'name: my_problem'.")
    try:
        problem = Problem.model_validate(values)
    except ValidationError as error:
        raise InputError(_explain(error, cast(yaml.Node, root), path)) from error
    return _anchor(problem, path.resolve().parent)


def with_overrides(problem: Problem, *, source: str | None = None, sends: int | None = None) -> Problem:
    """The same problem reading from another source, or with a simulator of another size.

    Args:
        source: a folder, an http(s) URL prefix, or a database URI.
        sends: expected number of simulated sends; only for problems that read from the simulator.
    """
    if source is not None and sends is not None:
        raise InputError("--source and --sends exclude each other: --sends sizes the simulator, --source replaces it.")
    if source is not None:
        return problem.model_copy(update={"source": _source_of(source)})
    if sends is None:
        return problem
    if not isinstance(problem.source, SimulatorSource):
        place = shown_address(problem.source.uri)
        raise InputError(f"--sends sizes the simulator, but {problem.name} reads from {place}: leave it out.")
    try:
        sized = SimulatorSource.model_validate({**problem.source.model_dump(), "sends": sends})
    except ValidationError as error:
        raise InputError(f"--sends {sends}: {error.errors()[0]['msg'].lower()}.") from error
    return problem.model_copy(update={"source": sized})


def current_problem(home: Home) -> Problem:
    """The problem of this process: the one it was started for, else the home's, else the default.

    The home's is that of the last run that succeeded, or, where none did yet, of the one that was tried.
    """
    if chosen := os.environ.get(PROBLEM_VARIABLE):
        return parse_problem(chosen.encode(), Path(PROBLEM_VARIABLE))
    for kept in (home.active_problem, home.first_problem):
        if kept.is_file():
            return load_problem(str(kept))
    return load_problem(DEFAULT_PROBLEM)


def dump_problem(problem: Problem, *, passwords: bool = False) -> str:
    """A problem as YAML that loads to an equal problem, but for a password in its source's URI.

    Args:
        passwords: keep it, for the eyes of this machine's user only.
    """
    values = problem.model_dump(mode="json")
    if "uri" in values["source"] and not passwords:
        values["source"]["uri"] = shown_address(values["source"]["uri"])
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)


class _Loader(yaml.SafeLoader):
    """YAML as usual, but a key may be stated once, and dates stay text: Pydantic's complaint names the key."""

    yaml_implicit_resolvers = {  # noqa: RUF012  (the base declares it as an instance variable)
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        if twice := next((key for key, _ in node.value if keys.count(key.value) > 1), None):
            problem = f"{twice.value!r} is stated twice"
            raise yaml.constructor.ConstructorError(problem=problem, problem_mark=twice.start_mark)
        return super().construct_mapping(node, deep)


def _source_of(uri: str) -> FilesSource | DatabaseSource:
    if "://" in uri and not uri.startswith(("http://", "https://")):
        return DatabaseSource(uri=uri)
    return FilesSource(uri=uri if "://" in uri else str(Path(uri).expanduser().resolve()))


def _anchor(problem: Problem, folder: Path) -> Problem:
    """Relative folders in a problem file are relative to that file."""
    source = problem.source
    if not isinstance(source, FilesSource) or "://" in source.uri:
        return problem
    anchored = str((folder / Path(source.uri).expanduser()).resolve())
    return problem.model_copy(update={"source": source.model_copy(update={"uri": anchored})})


def _explain(error: ValidationError, root: yaml.Node, path: Path) -> str:
    """One sentence for the first thing that is wrong, and how many more there are."""
    # A misspelt key is also a missing one: name the misspelling.
    first, *others = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
    node: yaml.Node = root
    keys: list[str] = []
    line = root.start_mark.line
    siblings: list[str] = []
    for part in first["loc"]:
        found = _child(node, part)
        siblings = [str(key.value) for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []
        if found is None:
            # The tag of a union ("files", "range") is in the location but not in the file.
            if part == first["loc"][-1] and first["type"] == "missing":
                keys.append(str(part))
            continue
        key_line, node = found
        line = key_line
        keys.append(str(part))
    key = ".".join(keys) or "the file"
    more = f" ({len(others)} more to mend after this one)" if others else ""
    return f"{path}, line {line + 1}, {key}: {_fix(first, siblings)}{more}."


def _child(node: yaml.Node, part: int | str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark.line, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line, node.value[part]
    return None


def _fix(error: Mapping[str, Any], siblings: list[str]) -> str:
    kind, given = error["type"], error.get("input")
    if kind == "missing":
        return "this key is missing; add it"
    if kind == "extra_forbidden":
        return f"unknown key{_nearest(str(error['loc'][-1]), _allowed_keys(error['loc']), siblings)}"
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
    text = cast(str, error["msg"]).removeprefix("Value error, ")
    text = text[0].lower() + text[1:]
    if isinstance(given, (str, int, float)) and kind != "value_error":
        return f"{given!r} is not valid: {text}"
    return text


def _nearest(word: str, allowed: list[str], siblings: list[str]) -> str:
    close = difflib.get_close_matches(word, [name for name in allowed if name not in siblings], n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known here: {', '.join(allowed)}" if allowed else "; remove it"


def _allowed_keys(location: tuple[int | str, ...]) -> list[str]:
    """The keys that the schema knows at the place of an unknown key."""
    schema: dict[str, Any] = Problem.model_json_schema()
    definitions = schema["$defs"]
    here = schema
    for part in location[:-1]:
        here = _step(_resolve(here, definitions), part, definitions)
    return list(_resolve(here, definitions).get("properties", {}))


def _resolve(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    # What may be left out is a union with null.
    schema = next((each for each in schema.get("anyOf", ()) if "$ref" in each), schema)
    while "$ref" in schema:
        schema = definitions[schema["$ref"].rsplit("/", 1)[1]]
    return schema


def _step(schema: dict[str, Any], part: int | str, definitions: dict[str, Any]) -> dict[str, Any]:
    if tags := schema.get("discriminator", {}).get("mapping"):
        return {"$ref": tags[part]} if part in tags else {}
    if isinstance(part, int):
        return cast(dict[str, Any], schema.get("items", {}))
    if part in schema.get("properties", {}):
        return cast(dict[str, Any], schema["properties"][part])
    extra = schema.get("additionalProperties", {})
    return extra if isinstance(extra, dict) else {}
