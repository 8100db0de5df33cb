"""Data in Markdown are text: read back by a parser, they are what they were, in one piece and without any markup."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mlguide_assets.markdown import code, escaped, listed, table

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
HARM = [
    "![x](http://127.0.0.1:9/x.png)",
    "<img src=http://127.0.0.1:9/x.png onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "[x]: http://127.0.0.1:9",
    "<http://127.0.0.1:9>",
    "a | b\n---|---\n1 | 2",
    "# heading",
    "- item",
    "12. item",
    "```\ncode",
    "    code",
    "---",
    "===",
    "~~gone~~ **bold** _slanted_ `code`",
    "&lt;b&gt; &amp; &#60;",
    "\\[x\\](y) \\\\",
]
TEXTS = st.text(alphabet="a1 _*`~!|#<>[]()&;:/.-+=\\\n\t\x1b\u2028日", max_size=30) | st.sampled_from(HARM)


def shown(markdown: str) -> list[str]:
    """The texts that a reader sees; markup within one is an error."""
    texts = []
    for token in READER.parse(markdown):
        assert token.type not in ("html_block", "fence", "code_block", "hr", "heading_open"), token
        if token.type == "inline":
            assert {child.type for child in token.children or ()} <= {"text", "softbreak"}, token
            texts.append("".join(child.content for child in token.children or ()))
    return texts


def flat(text: str) -> str:
    """The text on one line, as `escaped` shows it."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text).strip()


@given(TEXTS)
def test_a_text_is_shown_as_it_is(text: str) -> None:
    expected = [flat(text)] if flat(text) else []
    assert shown(escaped(text)) == expected
    assert shown(f"A line.\n\n{listed([text])}") == ["A line.", *expected]
    assert shown(f"A line.\n{escaped(text)}")[0].startswith("A line.")


@given(TEXTS, TEXTS)
def test_a_cell_stays_in_its_cell(one: str, other: str) -> None:
    assert shown(table(["h", one], [[1, other], [None, "x"]])) == ["h", flat(one), "1", flat(other), "", "x"]


@pytest.mark.parametrize("text", ["a: 1", "```\nb", "a ```` b ``` c"])
def test_a_block_of_code_ends_where_the_text_ends(text: str) -> None:
    (block,) = READER.parse(code(text, "yaml"))
    assert (block.type, block.info, block.content) == ("fence", "yaml", f"{text}\n")
