"""Estimates of the time that is left."""

import pytest

from dashboards.time_left import TimeLeft, duration


def test_nothing_is_known_before_the_first():
    assert TimeLeft(100).seconds() is None


def test_the_rest_takes_as_long_as_what_was_done():
    left = TimeLeft(100)
    left.done(10, 5.0)  # with the loading of kernels: counts only while there is nothing better
    assert left.seconds() == pytest.approx(45.0)
    left.done(10, 1.0)
    left.done(20, 3.0)
    assert left.seconds() == pytest.approx(60 * 4 / 30)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "under a second"),
        (40.4, "about 40 s"),
        (89.4, "about 89 s"),
        (120, "about 2 min"),
        (5399, "about 90 min"),
        (9000, "about 2.5 h"),
    ],
)
def test_a_rough_time_in_words(seconds, words):
    assert duration(seconds) == words
