"""Text that others wrote, such as names in an uploaded file, made harmless where HTML and Markdown are understood."""

_SPECIAL = str.maketrans({character: f"&#{ord(character)};" for character in "&<>\"'\\`*_[]()#!|~:"})


def plain(text: str) -> str:
    """The text with every character that means something in HTML or Markdown written as an entity.

    Examples
    --------
    >>> plain("<b>*")
    '&#60;b&#62;&#42;'
    """
    return text.translate(_SPECIAL)
