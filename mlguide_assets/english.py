"""Numbers, nouns and verbs in sentences, as English writes them."""

from datetime import timedelta


def plural(noun: str) -> str:
    """Many of a noun, as English writes it.

    >>> [plural(noun) for noun in ("user", "category", "pass", "day", "diagnosis")]
    ['users', 'categories', 'passes', 'days', 'diagnoses']
    """
    if noun.endswith("sis"):
        return f"{noun[:-2]}es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"


def counted(number: float, noun: str) -> str:
    """A number of things, as English writes it.

    >>> counted(1, "row"), counted(1234, "row"), counted(0, "category"), counted(1.5, "day"), counted(7.0, "day")
    ('1 row', '1,234 rows', '0 categories', '1.5 days', '7 days')
    """
    shown = f"{number:,g}" if number % 1 else f"{number:,.0f}"
    return f"{shown} {noun if number == 1 else plural(noun)}"


def percent(share: float) -> str:
    """A share that a person wrote, as precisely as it was written: rounded, 0.4 % would be none.

    >>> percent(0.05), percent(0.004), percent(0.305), percent(1)
    ('5%', '0.4%', '30.5%', '100%')
    """
    return f"{100 * share:.6g}%"


def duration(span: timedelta) -> str:
    """A span in the largest unit of which it is a whole number, as a problem file writes it.

    >>> [duration(timedelta(hours=hours)) for hours in (0, 0.5, 1, 24, 36, 168)]
    ['0 days', '30 minutes', '1 hour', '1 day', '36 hours', '7 days']
    """
    for unit, size in _UNITS.items():
        if not span % size:
            return counted(span // size, unit)
    return counted(span.total_seconds(), "second")


_UNITS = {unit: timedelta(**{f"{unit}s": 1}) for unit in ("day", "hour", "minute", "second")}


def agreeing(number: float, verb: str) -> str:
    """The form of a verb that agrees with a number: `is` or `are`.

    >>> [agreeing(number, verb) for number in (1, 2) for verb in ("is", "was", "has", "break")]
    ['is', 'was', 'has', 'breaks', 'are', 'were', 'have', 'break']
    """
    if verb in _OF_MANY:
        return verb if number == 1 else _OF_MANY[verb]
    return f"{verb}s" if number == 1 else verb


_OF_MANY = {"is": "are", "was": "were", "has": "have", "does": "do"}


def with_article(noun: str) -> str:
    """One of a noun, with the article that its sound asks for.

    >>> [with_article(noun) for noun in ("send", "offer", "user", "hour")]
    ['a send', 'an offer', 'a user', 'an hour']
    """
    vowel = noun[:1].lower() in "aeiou" and not noun.lower().startswith(_AS_CONSONANT)
    return f"an {noun}" if vowel or noun.lower().startswith(_SILENT) else f"a {noun}"


_AS_CONSONANT = ("uni", "us", "ut", "eu", "one")
_SILENT = ("hour", "heir", "honest", "honor", "honour")


def better_or_worse(difference: float, other: str) -> str:
    """How a value stands to another one that it is above, or below, by a difference: to four digits.

    >>> better_or_worse(-0.01, "the base rate"), better_or_worse(0.00001, "the base rate")
    ('0.0100 worse than the base rate', 'the same as the base rate')
    """
    if round(abs(difference), 4) == 0:
        return f"the same as {other}"
    return f"{abs(difference):.4f} {'worse' if difference < 0 else 'better'} than {other}"
