"""Two readers of YAML, of which installations have one or both: what they read, and refuse, is the same."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from mlguide_assets.define import documents
from mlguide_assets.define.documents import parse_document
from mlguide_assets.define.loading import SHIPPED
from mlguide_assets.errors import InputError


class Anything(BaseModel, extra="allow"):
    """Takes every key."""


def places(node: yaml.Node) -> Any:
    """Of a node and all in it: its line, and what it is."""
    if isinstance(node.value, str):
        return node.start_mark.line, node.tag, node.value
    parts = [each for pair in node.value for each in (pair if isinstance(pair, tuple) else [pair])]
    return node.start_mark.line, node.tag, [places(each) for each in parts]


@pytest.mark.parametrize("path", sorted(SHIPPED.rglob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_files_are_the_same_to_both(path: Path) -> None:
    (root, values), (other, others) = (
        documents._read_by(reader, path.read_bytes()) for reader in (documents._QUICK, documents._Loader)
    )
    assert values == others
    assert root is not None
    assert other is not None
    assert places(root) == places(other)


@pytest.mark.parametrize(
    "content", [b"a:\t1", b"a: 1\na: 2", b"a: [1,", b"a: b: c", b"a: @b", b"a: *b", b"\xff", b"--- a\n--- b"]
)
def test_mistakes_are_refused_in_the_same_words(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    for reader in (documents._QUICK, documents._Loader):
        monkeypatch.setattr(documents, "_QUICK", reader)
        with pytest.raises(InputError) as told:
            parse_document(content, Path("x.yaml"), Anything)
        said.append(str(told.value))
    assert said[0] == said[1]
