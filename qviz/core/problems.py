"""What went wrong, in one sentence that a person can act on, and in that person's language."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qviz.core.printable import printable

Translate = Callable[[str], str]
"""From an English text to that of a language; `str` leaves it in English."""


def N_(text: str) -> str:  # noqa: N802 (as gettext calls it)
    """`text` itself, marked for translators (``pyside6-lupdate``): it is translated where it is shown."""
    return text


class Phrase:
    """Words that are translated where they are shown, such as a part of a problem's sentence.

    Parameters
    ----------
    template : str
        English, a literal where ``lupdate`` can find it, with ``{name}`` or ``{name:spec}`` for each value.
    **values : object
        What is filled in: texts on one line, as `printable` has them; phrases and problems are translated, too, and
        problems lose their full stop.
    """

    def __init__(self, template: str, /, **values: object) -> None:
        self.template = template
        self.values = values

    def told(self, translate: Translate = str) -> str:
        """The words in the language of `translate`; in English by default."""
        return filled(self.template, self.values, translate)

    def __str__(self) -> str:
        return self.told()

    def __repr__(self) -> str:
        return f"Phrase({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Phrase):
            return NotImplemented
        return (self.template, self.values) == (other.template, other.values)

    def __hash__(self) -> int:
        return hash(self.template)


class Problem(ValueError):
    """Bad input: the message says what is wrong, with which value, and what to do.

    Raised by every layer for anything a person can mend; the window shows it in a
    banner, the command line prints it on stderr and exits with code 2. A bug is
    never a ``Problem``.

    Parameters
    ----------
    template : str
        The sentence in English, a literal that ``lupdate`` can find, with ``{name}`` or ``{name:spec}``
        for each value.
    **values : object
        What is filled in: texts on one line, as `printable` has them; phrases and problems are translated, too, and
        problems lose their full stop.
    """

    def __init__(self, template: str, /, **values: object) -> None:
        # What the constructor takes by place must be ``args``: so the exception survives a trip between processes.
        super().__init__(template)
        self.template = template
        self.values = values
        # At once, so that what cannot be said fails where it is raised.
        self._english = filled(template, values)

    def told(self, translate: Translate = str) -> str:
        """The sentence in the language of `translate`; in English by default."""
        return filled(self.template, self.values, translate)

    def __str__(self) -> str:
        return self._english


def filled(template: str, values: Mapping[str, object], translate: Translate = str) -> str:
    """The translated template with its values; in English where the translation asks for values there are not.

    A template without values is taken as it is, braces and all.
    """
    if not values:
        return translate(template)
    told = {key: _part(value, translate) for key, value in values.items()}
    try:
        return translate(template).format(**told)
    except (LookupError, ValueError, AttributeError, TypeError):
        return template.format(**told)


def _part(value: object, translate: Translate) -> object:
    if isinstance(value, Problem):
        # Another sentence goes on around it.
        return value.told(translate).removesuffix(".").removesuffix("。")
    if isinstance(value, str):  # a name, perhaps, which a file may give as it likes
        return printable(value)
    return value.told(translate) if isinstance(value, Phrase) else value
