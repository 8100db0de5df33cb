"""Mentions in a text without structure, such as a log or a page: what an id is called, followed by the id."""

from collections.abc import Iterator

from mlguide_assets.prepare.forgetting.entity_pattern import EntityPattern
from mlguide_assets.prepare.forgetting.escapes import ADDRESS, HTML, JSON, View
from mlguide_assets.prepare.forgetting.mention import Mention


def mentions_in_words(text: str, pattern: EntityPattern) -> Iterator[Mention]:
    """Of a text without structure, however its parts are escaped. What reads in two ways is there twice."""
    seen = set[str]()
    for view in (View(text), *(escapes.view(text) for escapes in (JSON, HTML, ADDRESS))):
        if view.text not in seen:
            seen.add(view.text)
            for start, end in pattern.ids_in_words(view.text):
                yield Mention(view.place(start), view.place(end), in_words=True)
