"""Where a text mentions one entity: by structure where the text has one, by the words before an id elsewhere.

JSON, lines of JSON and tables in Markdown are read: the value under a column of the entity, or the cell below its name,
is a mention where it equals the id, however it is escaped. Texts within them are looked at in the same way. In all
other text, such as a log or a page, a mention is the name of the column, or of the entity's key, followed by the id:
`user_id 5`, `user_id=5`, `user_ids: [1, 5]`, `id=5`. The id alone is none: 5 may be anything. A problem file that is
shown in a text names columns, and no entity: it is left out.
"""

from collections.abc import Iterable, Iterator
from functools import partial

from mlguide_assets.prepare.forgetting.entity_pattern import EntityPattern
from mlguide_assets.prepare.forgetting.in_json import LINE, mentions_in_json, parsed, table_of
from mlguide_assets.prepare.forgetting.in_markdown import PROBLEM_FILE, TABLE, mentions_in_table
from mlguide_assets.prepare.forgetting.in_words import mentions_in_words
from mlguide_assets.prepare.forgetting.mention import Mention


def mentions_in(text: str, pattern: EntityPattern, table: str | None = None) -> list[Mention]:
    """All mentions, in order, none within another.

    Args:
        table: whose rows the text shows, where that is known.

    >>> from mlguide_assets.prepare.forgetting.forget_list import Entity
    >>> text = "user_id 7 bought 5 for user_id 5"
    >>> [text[each.start :] for each in mentions_in(text, EntityPattern(Entity("user", "user_id"), 5))]
    ['5']
    """
    if not pattern.may_be_in(text):
        return []
    document = parsed(text)
    if document is not None:
        within = partial(mentions_in, pattern=pattern, table=table or table_of(document))
        return list(mentions_in_json(text, pattern, within))
    found, apart = list[Mention](), [each.span() for each in PROBLEM_FILE.finditer(text)]
    for start, end in [*_between(apart, len(text))]:
        for each in TABLE.finditer(text, start, end):
            cells = mentions_in_table(each[0], pattern, partial(mentions_in, pattern=pattern), table)
            found += [cell.moved(each.start()) for cell in cells]
            apart.append(each.span())
        for line in LINE.finditer(text, start, end):
            if pattern.may_be_in(line[0]) and parsed(line[0]) is not None:
                within = partial(mentions_in, pattern=pattern, table=table)
                found += [each.moved(line.start()) for each in mentions_in_json(line[0], pattern, within)]
                apart.append(line.span())
    for start, end in _between(apart, len(text)):
        if pattern.may_be_in(words := text[start:end]):
            found += [each.moved(start) for each in mentions_in_words(words, pattern)]
    return list(_apart(sorted(set(found), key=lambda each: (each.start, -each.end))))


def _between(parts: Iterable[tuple[int, int]], end: int) -> Iterator[tuple[int, int]]:
    """What is between parts of a text."""
    last = 0
    for start, stop in sorted(parts):
        if start > last:
            yield last, start
        last = max(last, stop)
    if end > last:
        yield last, end


def _apart(mentions: Iterable[Mention]) -> Iterator[Mention]:
    """Those, in order, that do not begin within one before: an escape may be read in two ways."""
    last = 0
    for each in mentions:
        if each.start >= last:
            yield each
            last = each.end
