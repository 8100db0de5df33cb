"""HTML from Python, safe by construction: any text that is not `Html` is escaped where it is put in."""

import html
from collections.abc import Iterable, Sequence


class Html(str):
    """Text that is HTML already."""


Child = str | None
"""`Html`, text to be escaped, or nothing."""

Attribute = str | float | bool | None


def tag(name: str, *children: Child, **attributes: Attribute) -> Html:
    """An element. `class_` is the attribute class, `aria_label` is aria-label; None and False leave one out."""
    written = "".join(f" {_name(key)}{_value(value)}" for key, value in attributes.items() if _wanted(value))
    return Html(f"<{name}{written}>{joined(children)}</{name}>")


def joined(children: Iterable[Child]) -> Html:
    return Html("".join(child if isinstance(child, Html) else html.escape(child) for child in children if child))


def paragraph(*children: Child, class_: str | None = None) -> Html:
    return tag("p", *children, class_=class_)


def items(children: Iterable[Child], class_: str | None = None) -> Html:
    return tag("ul", *(tag("li", child) for child in children), class_=class_)


def folded(summary: Child, *children: Child) -> Html:
    """Content that is shown when it is unfolded."""
    return tag("details", tag("summary", summary), *children)


def table(header: Sequence[str], rows: Iterable[Sequence[Child]], *, caption: str, stacks: bool = False) -> Html:
    """A table whose first cells head their rows; it scrolls by itself where it is too wide.

    Args:
        stacks: a phone shows the cells of a row below one another, each with its heading.
    """
    head = tag("tr", *(tag("th", cell, scope="col") for cell in header))
    labels = [name if stacks else None for name in header[1:]]
    body = (
        tag(
            "tr",
            tag("th", first, scope="row"),
            *(tag("td", cell, data_label=label) for label, cell in zip(labels, cells, strict=True)),
        )
        for first, *cells in rows
    )
    named = tag("caption", caption, class_="unseen")
    whole = tag("table", named, tag("thead", head), tag("tbody", *body), class_="stacks" if stacks else None)
    return scrolling(whole, caption)


def long_table(header: Sequence[str], rows: Sequence[Sequence[Child]], *, caption: str, shown: int, noun: str) -> Html:
    """A table of rows that begin with the newest, and stack; those beyond the first `shown` are folded."""
    first = table(header, rows[:shown], caption=f"{caption}, the newest first", stacks=True)
    if len(rows) <= shown:
        return first
    more = len(rows) - shown
    older = table(header, rows[shown:], caption=f"{caption}, older", stacks=True)
    return joined([first, folded(f"{more:,} older {noun}{'s' if more > 1 else ''}", older)])


def scrolling(content: Html, label: str) -> Html:
    """A box that people can scroll by keyboard, too."""
    return tag("div", content, class_="scroll", role="region", aria_label=label, tabindex="0")


def _wanted(value: Attribute) -> bool:
    return value is not None and value is not False


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _value(value: Attribute) -> str:
    if value is True:
        return ""
    # A tenth of a pixel is more than anyone sees.
    text = value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
    return f'="{html.escape(text)}"'
