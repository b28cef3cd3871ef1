"""Splitting a command line into words, by the rules of the library that docker's client uses (google/shlex)."""

from __future__ import annotations

from collections.abc import Iterator

_SPACES = " \t\r\n"


def split_words(text: str) -> list[str]:
    """Split on blanks, minding quotes, backslashes and comments; nothing is expanded.

    Raises ValueError when the text ends inside quotes or after a backslash.
    """
    words = []
    characters = iter(text)
    for char in characters:
        if char in _SPACES:
            continue
        if char == "#":
            _skip_comment(characters)
            continue
        words.append(_read_word(char, characters))
    return words


def _skip_comment(characters: Iterator[str]) -> None:
    for char in characters:
        if char == "\n":
            return


def _read_word(char: str | None, characters: Iterator[str]) -> str:
    word = ""
    while char is not None and char not in _SPACES:
        if char in "\"'":
            word += _read_quoted(char, characters)
        elif char == "\\":
            word += _escaped(characters)
        else:
            word += char
        char = next(characters, None)
    return word


def _read_quoted(quote: str, characters: Iterator[str]) -> str:
    text = ""
    for char in characters:
        if char == quote:
            return text
        text += _escaped(characters) if char == "\\" and quote == '"' else char
    raise ValueError(f"the quote {quote} is not closed")


def _escaped(characters: Iterator[str]) -> str:
    char = next(characters, None)
    if char is None:
        raise ValueError("ends after a backslash")
    return char
