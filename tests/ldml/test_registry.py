"""Names: found, suggested, refused."""

import pytest

from ldml.errors import InputError
from ldml.registry import Registry

FRUIT = Registry("fruit", {"Apple": 1, "Pear": 2})


def test_known_names():
    assert FRUIT["Pear"] == 2
    assert list(FRUIT) == ["Apple", "Pear"]
    assert "Apple" in FRUIT
    assert "Quince" not in FRUIT
    assert FRUIT.get("Quince", 0) == 0


def test_misspelt_names_are_answered_with_the_nearest():
    with pytest.raises(InputError, match="unknown fruit 'aple'; did you mean 'Apple'"):
        FRUIT["aple"]
    with pytest.raises(InputError, match="known: Apple, Pear"):
        FRUIT["zzzzzz"]
