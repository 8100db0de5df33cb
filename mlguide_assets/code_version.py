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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

ATTEMPTS = 20
"""At a syntax tree that another thread disturbs: of two threads that make one after the other, 1 in 1,000 fails."""


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
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._modules: dict[str, Module] = {}

    def code_hash(self, *modules: str) -> str:
        """A hash of these modules and of all that they use.

        Raises:
            ModuleNotFoundError: a module is not in the package.
        """
        used = sorted(self.used_by(*modules))
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
            parts: list[str] = []
            imports: list[ast.Import | ast.ImportFrom] = []
            _add_parts(_tree(path.read_bytes()), parts, imports)
            used = {imported for node in imports for imported in self._imported(node)}
            parent = name.rpartition(".")[0]
            code = hashlib.sha256("\0".join(parts).encode()).hexdigest()
            self._modules[name] = Module(code, frozenset(used | {parent} - {""}))
        return self._modules[name]

    def _imported(self, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            # What is imported from a package is one of its modules, or a name that the package itself defines.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if self._path(name) else str(node.module) for name in names]
        yield from (name for name in names if name.split(".")[0] == self.root.name)

    def _path(self, name: str) -> Path | None:
        base = self.root.parent.joinpath(*name.split("."))
        return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@cache
def _this_package() -> Package:
    return Package(Path(__file__).parent)


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
