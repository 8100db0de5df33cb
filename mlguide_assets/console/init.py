"""`mlguide init`: a commented problem file, drafted from tables or rewritten from the old form."""

from pathlib import Path
from typing import Any

import yaml

from mlguide_assets.console.interruption import scratch_folder
from mlguide_assets.console.out import check_out
from mlguide_assets.console.progress import reporting
from mlguide_assets.console.terminal import console
from mlguide_assets.define.conversion import convert, is_old_form
from mlguide_assets.define.loading import anchored, parse_problem
from mlguide_assets.define.secrets import MASK, shown_address
from mlguide_assets.english import counted
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.duckdb.connection import connect
from mlguide_assets.prepare.profiling.draft import draft_problem
from mlguide_assets.prepare.profiling.nouns import noun, words
from mlguide_assets.prepare.profiling.writing import write_draft
from mlguide_assets.prepare.sources.changed_files import refusing_changed_files

SUFFIXES = (".yaml", ".yml")


def draft_to(source: str, out: Path | None, *, force: bool) -> None:
    """Look at all tables of a source and write the file, or nothing.

    Raises:
        InputError: the source has nothing to predict, or the file cannot be written.
    """
    name = _name_of(source)
    out = _checked(out or Path(f"{name}.yaml"), force=force)
    folder = Path(source)
    with (
        scratch_folder("mlguide-init-") as scratch,
        reporting() as report,
        refusing_changed_files(lambda: folder.iterdir() if folder.is_dir() else ()),
    ):
        connection = connect(scratch / "spill")
        try:
            draft = draft_problem(source, connection, scratch, report)
        finally:
            connection.disconnect()
    values, remark = _source(source, out)
    text = write_draft(draft, name=name, source=values, file=str(out), remark=remark)
    _check(text, out)
    _write(out, text)
    doubts = sum("# ?" in line for line in text.splitlines())
    best = draft.candidates[0]
    read, possible = counted(len(draft.tables), "table"), counted(len(draft.candidates), "thing")
    console.print(f"{read}, {possible} that could be predicted; {best.evidence}.")
    for table, reason in draft.unused.items():
        console.print(f"not used: {table} ({reason})")
    console.print(f"Wrote {out}. Look through it, above all at the {doubts} lines with '# ?'; then:")
    console.print(f"  mlguide check {out}\n  mlguide run --problem {out}")


def convert_to(old: Path, out: Path | None, *, force: bool) -> None:
    """Rewrite a problem file in the old form.

    Raises:
        InputError: there is no such file, or it is not in the old form.
    """
    try:
        text = old.read_text(encoding="utf-8")
        values = yaml.load(text, yaml.BaseLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"--from {old} cannot be read: check that it is there, and that it is YAML.") from error
    if not isinstance(values, dict) or not is_old_form(values):
        raise InputError(f"--from {old} is not in the old form: there is nothing to rewrite.")
    missing = [key for key in ("label", "themes", "categories", "source") if key not in values]
    if missing:
        raise InputError(f"--from {old} lacks {' and '.join(missing)}: it was never valid; start with --source.")
    out = _checked(out or old.with_name(f"{old.stem}.new.yaml"), force=force)
    new = convert(text)
    _check(new, out)
    _write(out, new)
    console.print(f"Wrote {out}: {old} in the form for any tables.\n  mlguide check {out}")


def _checked(out: Path, *, force: bool) -> Path:
    check_out(out, SUFFIXES)
    if out.exists() and not force:
        raise InputError(f"{out} is there already: name another file with --out, or replace it with --force.")
    return out


def _name_of(source: str) -> str:
    """A name for the problem, by that of the folder or the database."""
    place = source.partition("?")[0].rstrip("/").rpartition("/")[2] if "://" in source else Path(source).resolve().name
    stem = place.rpartition(".")[0] if "://" in source and "." in place else place
    return noun(words(stem), "my_problem")


def _source(uri: str, out: Path) -> tuple[dict[str, Any], str]:
    """The source as the file has it, without a password, and a remark on it."""
    if "://" in uri:
        address, hidden = _without_secrets(anchored(uri, Path.cwd()))
        remark = f"the password is not written here: set {' and '.join(hidden)} in the environment" if hidden else ""
        return {"kind": "database", "uri": address}, remark
    folder, beside = Path(uri).expanduser().resolve(), out.resolve().parent
    inside = folder.is_relative_to(beside) and folder != beside
    return {"kind": "files", "uri": str(folder.relative_to(beside) if inside else folder)}, ""


def _without_secrets(uri: str) -> tuple[str, list[str]]:
    """The address with `${NAME}` for each secret, and the names."""
    first, *others = shown_address(uri).split(MASK)
    names = [f"DATABASE_PASSWORD{f'_{place}' if place else ''}" for place in range(len(others))]
    return first + "".join(f"${{{name}}}{other}" for name, other in zip(names, others, strict=True)), names


def _check(text: str, out: Path) -> None:
    """What is written is valid, or it is a fault of ours."""
    try:
        parse_problem(text.encode(), out)
    except InputError as error:
        raise AssertionError(f"the drafted file is not valid: {error}\n{text}") from error


def _write(out: Path, text: str) -> None:
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{out} cannot be written ({error.strerror or error}): name another file with --out."
        ) from error
