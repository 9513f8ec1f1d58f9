"""Numbers with their names and units as a small table; text follows the page's theme."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable

MISSING = "—"


def number(value: float | None, digits: int = 3, *, unit: str = "", sign: bool = False) -> str:
    """A number with its unit, a dash where there is none; minus signs are minus signs."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:{'+' if sign else ''}.{digits}f}".replace("-", "−")
    return f"{text} {unit}" if unit else text


def number_table(rows: Iterable[tuple[str, str]], *, title: str = "") -> str:
    """HTML of a table with one row for each (name, value); plain text, in which ``_x`` becomes a subscript."""
    cells = "".join(
        f"<tr><th scope='row'>{subscripts(name)}</th><td>{subscripts(value)}</td></tr>" for name, value in rows
    )
    caption = f"<caption>{html.escape(title)}</caption>" if title else ""
    return f"{_STYLE}<table class='numbers'>{caption}{cells}</table>"


def subscripts(text: str) -> str:
    """HTML of plain text in which ``S_f`` becomes S with a subscript f."""
    head, *tails = html.escape(text).split("_")
    for tail in tails:
        end = next((k for k, letter in enumerate(tail) if not letter.isalnum()), len(tail))
        head += f"<sub>{tail[:end]}</sub>{tail[end:]}"
    return head


def typeset(text: str) -> str:
    """HTML or Markdown of a sentence, with subscripts, minus signs and powers of ten as they are printed.

    Examples
    --------
    >>> typeset("S_f = -7.3 k_B at 1.9e+03 K")
    'S<sub>f</sub> = −7.3 k<sub>B</sub> at 1.9&nbsp;×&nbsp;10<sup>3</sup> K'
    """
    text = re.sub(
        r"(\d)e([+-]\d+)", lambda found: f"{found[1]}&nbsp;×&nbsp;10<sup>{int(found[2])}</sup>", subscripts(text)
    )
    return re.sub(r"(?<![\w)])-(?=\d)|(?<=<sup>)-", "−", text)


_STYLE = """<style>
.numbers { width: 100%; border-collapse: collapse; font-size: 13px; line-height: 1.5; font-variant-numeric: tabular-nums;
           color: var(--panel-on-background-color, inherit); }
.numbers caption { text-align: left; font-weight: 600; padding-bottom: 4px; }
.numbers th { text-align: left; font-weight: 400; opacity: 0.75; padding: 1px 10px 1px 0; }
.numbers td { text-align: right; white-space: nowrap; padding: 1px 0; }
.numbers sub { line-height: 0; }
</style>"""
