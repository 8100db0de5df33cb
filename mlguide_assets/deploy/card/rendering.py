"""The model card of a version (Mitchell et al. 2019): what it is for, how good it is and for whom, and its limits.

One Markdown file, and one HTML file with its pictures inside that opens without a network. What it says is in
`sections`.
"""

import base64
import html
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from mlguide_assets import markdown as md
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.card.inputs import CardInputs
from mlguide_assets.deploy.card.sections import (
    behaviour,
    data,
    decision,
    fairness,
    features,
    intended_use,
    limits,
    lineage_section,
    pictures,
    quality,
    slices,
    worth,
)
from mlguide_assets.pages import policy_tag
from mlguide_assets.prepare.files import replace_file

if TYPE_CHECKING:
    from markdown_it.token import Token


def write_card(inputs: CardInputs, problem: Problem, folder: Path) -> tuple[Path, Path]:
    """Write `card.md`, its pictures beside it, and the self-contained `card.html`.

    Returns:
        The Markdown and the HTML file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, png in inputs.plots.items():
        replace_file(folder / f"{name}.png", png)
    text = card_markdown(inputs, problem)
    replace_file(folder / "card.md", text.encode())
    replace_file(
        folder / "card.html", card_html(text, inputs.plots, f"{problem.name}, version {inputs.version}").encode()
    )
    return folder / "card.md", folder / "card.html"


def card_markdown(inputs: CardInputs, problem: Problem) -> str:
    """The card as Markdown; pictures are files beside it."""
    sections = (
        f"# {md.escaped(problem.name)}, version {inputs.version}",
        decision(inputs),
        f"## What it is for\n\n{md.escaped(problem.statement)}\n\n{md.escaped(problem.hypothesis)}",
        intended_use(problem),
        data(inputs, problem),
        quality(inputs, problem),
        worth(inputs, problem),
        slices(inputs, problem),
        fairness(inputs, problem),
        behaviour(inputs),
        features(inputs),
        limits(inputs, problem),
        lineage_section(inputs),
        pictures(inputs),
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def card_html(markdown: str, plots: Mapping[str, bytes], title: str) -> str:
    """The card as one HTML page with its pictures inside."""
    from markdown_it import MarkdownIt

    # No raw HTML, although data are escaped in the Markdown already.
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = reader.parse(markdown)
    _label_cells(tokens)
    body = reader.renderer.render(tokens, reader.options, {})
    for name, png in plots.items():
        body = body.replace(f'src="{name}.png"', f'src="data:image/png;base64,{base64.b64encode(png).decode()}"')
    return _PAGE.format(policy=policy_tag(), title=html.escape(title), body=body)


def _label_cells(tokens: "Sequence[Token]") -> None:
    """Give each cell of a table its heading, which a phone shows beside it."""
    headings: list[str] = []
    column = 0
    for token, content in pairwise(tokens):
        if token.type == "table_open":
            headings = []
        elif token.type == "tr_open":
            column = 0
        elif token.type == "th_open":
            headings.append(content.content)
        elif token.type == "td_open":
            token.attrSet("data-label", headings[column])
            column += 1


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
{policy}
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }}
h1, h2, h3 {{ line-height: 1.2; }}
h2 {{ margin-top: 2.5rem; border-bottom: 1px solid #8886; padding-bottom: .3rem; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; font-size: .92em; }}
td {{ font-variant-numeric: tabular-nums; }}
th, td {{ text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #8884; vertical-align: top; }}
img {{ max-width: 100%; background: white; border-radius: 6px; }}
code {{ background: #8882; padding: .1em .3em; border-radius: 4px; }}
@media (max-width: 640px) {{
  body {{ margin: 1rem auto; }}
  ul {{ padding-left: 1.2rem; }}
  thead {{ display: none; }}
  table, tbody, tr, td {{ display: block; overflow-wrap: anywhere; }}
  tr {{ padding: .4rem 0; border-bottom: 1px solid #8884; }}
  td {{ padding: .1rem 0; border: 0; }}
  td::before {{ content: attr(data-label) ": "; opacity: .7; }}
  td:first-child, td[data-label=""] + td {{ font-weight: 600; }}
  td:first-child::before, td[data-label=""] + td::before {{ content: none; }}
  td[data-label=""] {{ float: left; width: 1.4rem; }}
  td:empty {{ display: none; }}
}}
</style>
<body>
{body}
</body>
</html>
"""
