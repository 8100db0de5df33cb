"""The version of the code that something was computed by: a hash of what its module does, and of all that it imports.

Code is compared as its syntax tree, without docstrings, comments, formatting and imports for type checkers: a better
sentence makes nothing stale. Modules of this package that a module imports, anywhere in it and transitively, belong to
it; other modules do not. The hash is the same on every supported version of Python.

What it does not see: files other than Python's, such as problem files and SQL, other packages (name those that
matter as `libraries`), and modules that are imported by a computed name.
"""

import ast
import contextlib
import hashlib
import json
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import cache_from_source
from pathlib import Path

ATTEMPTS = 20
"""At a syntax tree that another thread disturbs: of two threads that make one after the other, 1 in 1,000 fails."""
MOST_KEPT = 2_000
"""Entries of the file of known sources. With more, only those that this process used are written."""

Imports = list[tuple[str, list[str]]]
"""What is imported: from which module, '' where modules are imported as such, and the names."""


def code_version(*modules: str, libraries: Sequence[str] = ()) -> str:
    """The version of some modules of this package and of all that they use of it.

    Source files are read once per process: a process goes on with the code that it has imported.

    Args:
        modules: full names, such as "mlguide_assets.train.candidate" or `__name__`.
        libraries: distributions whose installed version counts as well.

    Returns:
        64 hexadecimal digits.

    Raises:
        ModuleNotFoundError: a module is not in this package.

    >>> code_version("mlguide_assets.errors") == code_version("mlguide_assets.errors")
    True
    """
    parts = [_this_package().code_hash(*modules), *(f"{library} {version(library)}" for library in libraries)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Module:
    """What one module does, as a hash, and the modules of the package that it imports."""

    code: str
    imports: frozenset[str]


class Package:
    """The source files of a package, each of which is read at most once.

    Args:
        root: its folder, whose name is that of the package.
        kept: a file that remembers what sources do, so that no other process parses them again; None: nothing is kept.
    """

    def __init__(self, root: Path, kept: Path | None = None) -> None:
        self.root = root
        self._modules: dict[str, Module] = {}
        self._known = Kept(kept)

    def code_hash(self, *modules: str) -> str:
        """A hash of these modules and of all that they use.

        Raises:
            ModuleNotFoundError: a module is not in the package.
        """
        used = sorted(self.used_by(*modules))
        self._known.keep()
        return hashlib.sha256("\0".join(f"{name} {self._module(name).code}" for name in used).encode()).hexdigest()

    def used_by(self, *modules: str) -> set[str]:
        """These modules and all that they import, transitively; the packages that hold them are imported as well."""
        found: set[str] = set()
        waiting = list(modules)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self._module(name).imports
        return found

    def _module(self, name: str) -> Module:
        if name not in self._modules:
            path = self._path(name)
            if path is None:
                raise ModuleNotFoundError(f"There is no module {name} in {self.root}.", name=name)
            code, imports = self._known.of(path.read_bytes())
            used = {imported for origin, names in imports for imported in self._imported(origin, names)}
            parent = name.rpartition(".")[0]
            self._modules[name] = Module(code, frozenset(used | {parent} - {""}))
        return self._modules[name]

    def _imported(self, origin: str, names: Sequence[str]) -> Iterator[str]:
        if origin:
            # What is imported from a package is one of its modules, or a name that the package itself defines.
            full = [f"{origin}.{name}" for name in names]
            names = [name if self._path(name) else origin for name in full]
        yield from (name for name in names if name.split(".")[0] == self.root.name)

    def _path(self, name: str) -> Path | None:
        base = self.root.parent.joinpath(*name.split("."))
        return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@cache
def _this_package() -> Package:
    # Beside what Python itself remembers of this module, and no more than it may.
    kept = None if sys.dont_write_bytecode else Path(cache_from_source(__file__)).with_name("code_version.json")
    return Package(Path(__file__).parent, kept)


class Kept:
    """What sources do and import, by a hash of their bytes: so it is never stale, and processes may add at once.

    To parse a few hundred modules takes every process half a second.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[str, tuple[str, Imports]] = {}
        self._used: dict[str, tuple[str, Imports]] = {}
        with contextlib.suppress(OSError, ValueError):
            self._known = json.loads(path.read_bytes()) if path else {}

    def of(self, source: bytes) -> tuple[str, Imports]:
        """A hash of what a source does, and what it imports."""
        key = hashlib.sha256(_own_source() + source).hexdigest()
        code, imports = self._used[key] = self._used.get(key) or self._known.get(key) or _read(source)
        return code, imports

    def keep(self) -> None:
        """Write the entries that this process used. Where the folder cannot be written, every process parses again."""
        # A copy, since another thread may be asking.
        used = dict(self._used)
        if self._path is None or used.keys() <= self._known.keys():
            return
        both = {**self._known, **used}
        self._known = both if len(both) <= MOST_KEPT else used
        written = self._path.with_name(f"{self._path.name}.{os.getpid()}.{threading.get_ident()}")
        with contextlib.suppress(OSError):
            written.write_bytes(json.dumps(self._known).encode())
            written.replace(self._path)


@cache
def _own_source() -> bytes:
    """Another way to compare code makes other hashes."""
    return Path(__file__).read_bytes()


def _read(source: bytes) -> tuple[str, Imports]:
    parts: list[str] = []
    nodes: list[ast.Import | ast.ImportFrom] = []
    _add_parts(_tree(source), parts, nodes)
    imports = [
        ("" if isinstance(node, ast.Import) else str(node.module), [alias.name for alias in node.names])
        for node in nodes
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest(), imports


def _tree(source: bytes) -> ast.Module:
    """The syntax tree of a source file.

    How deep trees nest is counted once for all threads of the interpreter, so one is refused for no fault of its own
    where another thread makes a tree at that moment, as many libraries do when they are imported (see `defs.preload`).
    """
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(SystemError):
            return ast.parse(source)
    return ast.parse(source)


def _add_parts(node: ast.AST, parts: list[str], imports: list[ast.Import | ast.ImportFrom]) -> None:
    """Add what a syntax tree does, in order, and the imports in it; generators would take twice as long."""
    parts.append(type(node).__name__)
    if isinstance(node, ast.Import | ast.ImportFrom):
        imports.append(node)
    for name in node._fields:
        value = getattr(node, name, None)
        # Fields that a later version of Python adds are empty in code that does not use them.
        if value is None or value == [] or name in ("ctx", "kind"):
            continue
        parts.append(name)
        for each in value if isinstance(value, list) else (value,):
            if not isinstance(each, ast.AST):
                parts.append(repr(each))
            elif not _says_nothing(each):
                _add_parts(each, parts, imports)


def _says_nothing(node: ast.AST) -> bool:
    """A docstring, or imports for type checkers."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
