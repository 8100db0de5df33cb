"""Documentation changes no version of the code, and what is computed otherwise does, wherever it is."""

import ast
import itertools
from importlib.metadata import version
from pathlib import Path

import pytest

from mlguide_assets import code_version as module
from mlguide_assets.code_version import Package, code_version

FILES = {
    "__init__.py": "",
    "train.py": '''"""Training."""
from typing import TYPE_CHECKING

from shop.prepare import core

if TYPE_CHECKING:
    from shop.typed import Row


def fit(rows: "list[Row]") -> float:
    """A model."""
    from shop.numbers import mean

    # Of all rows.
    return mean(core.joined(rows))
''',
    "prepare/__init__.py": "",
    "prepare/core.py": '''def joined(rows):
    """Rows side by side."""
    return [left + right for left, right in rows]
''',
    "numbers.py": "def mean(values):\n    return sum(values) / len(values)\n",
    "typed.py": "Row = tuple[int, int]\n",
    "serve.py": "from shop.train import fit\n",
}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "shop"


def changed(shop: Path, file: str, old: str, new: str) -> bool:
    """Whether the version of `shop.train` is another one after a change."""
    before = Package(shop).code_hash("shop.train")
    text = (shop / file).read_text()
    assert old in text
    (shop / file).write_text(text.replace(old, new))
    return Package(shop).code_hash("shop.train") != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("train.py", '"""A model."""', '"""The model that ships."""'),
        ("train.py", '"""Training."""', ""),
        ("train.py", "# Of all rows.", "# Of all."),
        ("train.py", "    return mean(", "\n\n    return  mean("),
        ("train.py", "    from shop.typed import Row", "    from shop.serve import Row"),
        ("prepare/core.py", "Rows side by side.", "Both sides."),
        ("typed.py", "int, int", "int, str"),
        ("serve.py", "import fit", "import fit as model"),
    ],
)
def test_documentation_and_modules_that_are_not_used_change_nothing(shop: Path, file: str, old: str, new: str) -> None:
    assert not changed(shop, file, old, new)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("train.py", "core.joined(rows)", "rows"),
        ("prepare/core.py", "left + right", "left - right"),
        ("numbers.py", "len(values)", "(len(values) + 1)"),
        ("__init__.py", "", "import shop.serve\n"),
        ("prepare/__init__.py", "", "ORDER = 1\n"),
    ],
)
def test_what_is_computed_otherwise_changes_the_version(shop: Path, file: str, old: str, new: str) -> None:
    assert changed(shop, file, old, new)


def test_a_module_uses_what_it_imports_anywhere_and_the_packages_that_hold_it(shop: Path) -> None:
    used = {"shop", "shop.train", "shop.prepare", "shop.prepare.core", "shop.numbers"}
    assert Package(shop).used_by("shop.train") == used
    assert Package(shop).used_by("shop.serve") == used | {"shop.serve"}


def test_what_sources_do_is_remembered_and_found_out_again_where_that_is_lost_or_changed(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, alone, parse, parsed = tmp_path / "kept.json", Package(shop).code_hash("shop.serve"), ast.parse, []

    def noted(source: bytes, *named: str) -> ast.Module:
        parsed.append(source)
        return parse(source, *named)

    monkeypatch.setattr(ast, "parse", noted)
    for spoil, again in (
        (lambda: None, 5),
        (lambda: None, 0),
        (lambda: (shop / "numbers.py").write_text("# As before.\n" + FILES["numbers.py"]), 1),
        (lambda: kept.write_text("{"), 5),
        (kept.unlink, 5),
    ):
        spoil()
        parsed.clear()
        assert Package(shop, kept).code_hash("shop.serve") == alone
        assert len(parsed) == again
    assert {*tmp_path.iterdir()} == {shop, kept}
    assert Package(shop, tmp_path / "none" / "kept.json").code_hash("shop.serve") == alone


def test_a_module_that_is_not_there_is_named(shop: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"There is no module shop\.tran"):
        Package(shop).code_hash("shop.tran")


def test_libraries_count_where_they_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_version("mlguide_assets.errors", libraries=["xgboost"]), code_version("mlguide_assets.errors")
    monkeypatch.setattr(module, "version", lambda name: "0.0.1" if name == "xgboost" else version(name))
    after = code_version("mlguide_assets.errors", libraries=["xgboost"]), code_version("mlguide_assets.errors")
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_features_do_not_depend_on_training_and_training_does_on_features() -> None:
    package = Package(Path(module.__file__).parent)
    features = package.used_by("mlguide_assets.prepare.features.incremental")
    assert "mlguide_assets.prepare.features.compiling" in features
    assert not any(name.startswith("mlguide_assets.train") for name in features)


def test_a_tree_that_another_thread_disturbs_is_made_again(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone, parse, calls = Package(shop).code_hash("shop.train"), ast.parse, itertools.count()

    def disturbed(source: bytes) -> ast.Module:
        if next(calls) % 3:
            raise SystemError("AST constructor recursion depth mismatch (before=25, after=24)")
        return parse(source)

    monkeypatch.setattr(ast, "parse", disturbed)
    assert Package(shop).code_hash("shop.train") == alone


def test_a_tree_that_is_always_refused_is_an_error(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(source: bytes) -> ast.Module:
        raise SystemError("another fault")

    monkeypatch.setattr(ast, "parse", refused)
    with pytest.raises(SystemError, match="another fault"):
        Package(shop).code_hash("shop.train")
