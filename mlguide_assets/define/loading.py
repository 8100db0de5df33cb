"""Reading problem files: from YAML to a validated `Problem`, or to one sentence that says what to fix."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import ValidationError

from mlguide_assets.define.conversion import is_old_form
from mlguide_assets.define.documents import find_document, parse_document, read_document, shipped_names
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.secrets import shown_address
from mlguide_assets.define.sources import (
    FILE_DATABASES,
    AnySimulator,
    DatabaseSource,
    FilesSource,
    PackageSource,
    PaymentSimulatorSource,
    SimulatorSource,
)
from mlguide_assets.errors import InputError
from mlguide_assets.settings import Home

SHIPPED = Path(__file__).parent / "problems"
_SIMULATED = "_simulated"
EXPERIMENTS = "experiments"
"""The folder beside the shipped problems."""

DEFAULT_PROBLEM = "planeswalker"
PROBLEM_VARIABLE = "MLGUIDE_PROBLEM"
"""The problem of a process: the name of one of its home's, or a whole problem file."""
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def shipped_problems() -> list[str]:
    return shipped_names(SHIPPED)


def load_problem(name_or_file: str) -> Problem:
    """Load a shipped problem by its name, or any problem file by its path.

    Raises:
        InputError: no such problem, or the file is not valid; the text names file, line, key and fix.

    >>> problem = load_problem("fraud")
    >>> problem.predict.each, problem.decision.unit, list(problem.tables)
    ('payment', 'customer', ['transactions'])
    """
    path = find_document(name_or_file, SHIPPED, "problem")
    return parse_problem(path.read_bytes(), path)


def parse_problem(content: bytes, path: Path) -> Problem:
    """Validate the content of a problem file; `path` is named in errors and anchors relative source folders.

    >>> parse_problem(b"name: shop", Path("shop.yaml"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    mlguide_assets.errors.InputError: shop.yaml, line 1, statement: this key is missing; add it (6 more to fix ...).
    """
    try:
        problem = parse_document(content, path, Problem)
    except InputError:
        # Which is never valid. Asked only now: reading YAML takes most of the time that loading a problem takes.
        _refuse_old_form(content, path)
        raise
    return _anchor(problem, path.resolve().parent)


def _refuse_old_form(content: bytes, path: Path) -> None:
    try:
        values = read_document(content)[1]
    except (yaml.YAMLError, ValueError):
        return  # What is no YAML is refused with its line.
    if isinstance(values, dict) and is_old_form(values):
        raise InputError(
            f"{path} is in the old form, with the keys decision, label, themes and categories: tables, what is "
            f"predicted and features are declared now. 'mlguide init --from {path} --out new.yaml' writes the new one."
        )


def with_overrides(
    problem: Problem, *, source: str | None = None, sends: int | None = None, engine: str | None = None
) -> Problem:
    """The same problem reading from another source, with a simulator of another size, or on another engine.

    Args:
        source: a folder, an http(s) URL prefix, or a database URI.
        sends: expected number of simulated sends, or payments; only for problems that read from a simulator.
        engine: duckdb or spark.

    >>> with_overrides(load_problem("fraud"), source="postgresql://host/bank").source.kind
    'database'
    """
    if engine not in (None, "duckdb", "spark"):
        raise InputError(f"--engine {engine}: there is no such engine; choose duckdb or spark.")
    if engine is not None:
        problem = problem.model_copy(update={"engine": engine})
    if source is not None and sends is not None:
        raise InputError("--source and --sends exclude each other: --sends sizes the simulator, --source replaces it.")
    if source is not None:
        return problem.model_copy(update={"source": _source_of(source)})
    if sends is None:
        return problem
    return problem.model_copy(update={"source": _sized(problem, sends)})


def _sized(problem: Problem, rows: int) -> AnySimulator:
    source = problem.source
    try:
        match source:
            case SimulatorSource():
                return SimulatorSource.model_validate({**source.model_dump(), "sends": rows})
            case PaymentSimulatorSource():
                return PaymentSimulatorSource.model_validate({**source.model_dump(), "payments": rows})
            case PackageSource(package=place):
                pass
            case _:
                place = shown_address(source.uri)
    except ValidationError as error:
        raise InputError(f"--sends {rows}: {error.errors()[0]['msg'].lower()}.") from error
    raise InputError(f"--sends sizes the simulator, but {problem.name} reads from {place}: leave it out.")


def current_problem(home: Home) -> Problem:
    """The problem of this process: the one it was started for, else the home's, else the default.

    The home's is that of the last run that succeeded, or, where none did yet, of the one that was tried.

    Raises:
        InputError: it was started for a problem that the home does not have; or the file that says which one the home
            works on is broken, or gone from a home of several.
    """
    if chosen := os.environ.get(PROBLEM_VARIABLE):
        return problem_of_home(home, chosen) if _NAME.fullmatch(chosen) else _parse_variable(chosen)
    known, path = readable_problems(home), home.active_problem
    if path.is_file():
        try:
            return load_problem(str(path))
        except InputError as error:
            raise InputError(f"{error} Or {_written_again(known)}." if known else str(error)) from error
    if len(known) > 1:
        raise InputError(f"{path}, which says which problem this home works on, is gone: {_written_again(known)}.")
    if known:
        return next(iter(known.values()))
    return load_problem(str(home.first_problem) if home.first_problem.is_file() else DEFAULT_PROBLEM)


def _written_again(known: Mapping[str, Problem]) -> str:
    """What writes the file again that says which problem a home works on."""
    names = [problem.key if len(_called(problem.name, known)) > 1 else problem.name for problem in known.values()]
    runs = " or ".join(f"'mlguide run --problem {name}'" for name in names)
    return f"let {runs} write it again"


def problems_of_home(home: Home) -> dict[str, Problem]:
    """The problems that a run has succeeded with in a home, by their keys, in the order of the keys.

    Raises:
        InputError: the file of one of them is broken.
    """
    for error in broken_problems(home).values():
        raise error
    return readable_problems(home)


def readable_problems(home: Home) -> dict[str, Problem]:
    """Those of `problems_of_home` whose files are not broken: what works on them goes on beside the others."""
    return _problems_and_faults(home)[0]


def broken_problems(home: Home) -> dict[str, InputError]:
    """The others by their keys, with what is wrong."""
    return _problems_and_faults(home)[1]


def _problems_and_faults(home: Home) -> tuple[dict[str, Problem], dict[str, InputError]]:
    found, faults = list[Problem](), dict[str, InputError]()
    for path in (*sorted(home.problems.glob("*.yaml")), home.active_problem):
        try:
            if path.is_file():
                found.append(load_problem(str(path)))
        except InputError as error:
            faults[path.name if path == home.active_problem else path.stem] = error
    known = {problem.key: problem for problem in sorted(found, key=lambda problem: problem.key)}
    if known:
        # Which problem is worked on is asked of `current_problem`; the problem itself has a file among the others.
        faults.pop(home.active_problem.name, None)
    return known, {key: error for key, error in faults.items() if key not in known}


def find_problem(home: Home, name_or_file: str) -> Problem:
    """A problem of a home, or a shipped one, by its name, or any problem file by its path.

    What the home has comes first: a shipped problem that reads tables of its owner's has the shipped one's name there.

    Raises:
        InputError: as `load_problem`.
    """
    if not _NAME.fullmatch(name_or_file):
        return load_problem(name_or_file)
    known = readable_problems(home)
    if found := _called(name_or_file, known):
        return found[0]
    # No shipped problem is to stand in for one of the home.
    _refuse_broken(home, name_or_file)
    path = find_document(name_or_file, SHIPPED, "problem", of_home=[each.name for each in known.values()])
    return parse_problem(path.read_bytes(), path)


def _called(name: str, known: Mapping[str, Problem]) -> list[Problem]:
    """The problem of a key, else all of a name."""
    return [known[name]] if name in known else [each for each in known.values() if each.name == name]


def _refuse_broken(home: Home, name: str) -> None:
    """Raises InputError where a problem of this name or key may be in a file that is broken."""
    for key, error in broken_problems(home).items():
        if name in (key, key.removesuffix(_SIMULATED)):
            raise error


def problem_of_home(home: Home, name: str) -> Problem:
    """A problem of a home by its name, or by its key where two have one name; as the home has it, also where the file
    is given from which it came.

    Raises:
        InputError: there is none, or more than one, or its file is broken.
    """
    if not _NAME.fullmatch(name):
        name = load_problem(name).key
    known = readable_problems(home)
    found = _called(name, known)
    if not found:
        _refuse_broken(home, name)
    if len(found) == 1:
        return found[0]
    has = ", ".join(known) or "none yet"
    what = "more than one problem" if found else "no problem"
    raise InputError(f"The home {home.root} has {what} called {name!r}; it has: {has}.")


def name_in_home(problem: Problem, home: Home) -> str | None:
    """What distinguishes a problem from others of its home, name or key; None where it is the only one."""
    others = {key: each.name for key, each in readable_problems(home).items() if key != problem.key}
    # What is called by its name goes on to be while the file of another is broken.
    others |= {key: key.removesuffix(_SIMULATED) for key in broken_problems(home) if key != problem.key}
    if not others:
        return None
    return problem.key if problem.name in others.values() else problem.name


def _parse_variable(content: str) -> Problem:
    return parse_problem(content.encode(), Path(PROBLEM_VARIABLE))


def dump_problem(problem: Problem, *, passwords: bool = False) -> str:
    """A problem as YAML that loads to an equal problem, but for a password in its source's URI.

    Args:
        passwords: keep it, for the eyes of this machine's user only.

    >>> problem = load_problem("fraud")
    >>> parse_problem(dump_problem(problem).encode(), Path("fraud.yaml")) == problem
    True
    """
    # What is null is null by default, everywhere.
    values = problem.model_dump(mode="json", by_alias=True, exclude_none=True)
    if "uri" in values["source"] and not passwords:
        values["source"]["uri"] = shown_address(values["source"]["uri"])
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)


def _source_of(uri: str) -> FilesSource | DatabaseSource:
    address = anchored(uri, Path.cwd())
    if "://" in uri and not uri.startswith(("http://", "https://")):
        return DatabaseSource(uri=address)
    return FilesSource(uri=address)


def anchored(uri: str, folder: Path) -> str:
    """A source's folder, or its database in a file, by its absolute path; any other address as it is.

    >>> anchored("duckdb://shop.duckdb", Path("/data")), anchored("shop", Path("/data"))
    ('duckdb:///data/shop.duckdb', '/data/shop')
    """
    scheme, mark, rest = uri.partition("://")
    if not mark:
        return str((folder / Path(uri).expanduser()).resolve())
    path, question, options = rest.partition("?")
    # What a variable holds is known when the source is read; it may be a whole path.
    if scheme not in FILE_DATABASES or not path or path.startswith("${"):
        return uri
    return f"{scheme}://{(folder / Path(path).expanduser()).resolve()}{question}{options}"


def experiment_file(name_or_file: str) -> Path:
    """The path of a shipped experiment, by its name, or of any experiment file.

    Raises:
        InputError: there is no such file.
    """
    return find_document(name_or_file, SHIPPED / EXPERIMENTS, "experiment")


def _anchor(problem: Problem, folder: Path) -> Problem:
    """Relative folders and files in a problem file, also those of databases, are relative to that file."""
    source, named = problem.source, problem.experiment.file
    if named and (folder / Path(named).expanduser()).is_file():
        experiment = {"file": str((folder / Path(named).expanduser()).resolve())}
        problem = problem.model_copy(update={"experiment": problem.experiment.model_copy(update=experiment)})
    if not isinstance(source, FilesSource | DatabaseSource):
        return problem
    address = anchored(source.uri, folder) if isinstance(source, FilesSource) or "://" in source.uri else source.uri
    return problem.model_copy(update={"source": source.model_copy(update={"uri": address})})
