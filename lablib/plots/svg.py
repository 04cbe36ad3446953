"""SVG by hand: pictures that are crisp at any size and readable on a light or a dark page. Does no I/O."""

from __future__ import annotations

import zlib
from html import escape
from typing import Final

CHARACTER: Final = 6.8
"""Width of a character of small text, in pixels."""
COLOURS: Final = ("#0072B2", "#56B4E9", "#009E73", "#CC79A7", "#E69F00", "#8C6D31", "#5E4FA2", "#7F7F7F")
"""Okabe and Ito's, which differ for colour-blind eyes too; after eight tenants they repeat."""
HATCHES: Final = (
    "",
    "M0 6L6 0",
    "M0 3H6",
    "M3 0V6",
    "M0 0L6 6",
    "M1 1h2v2h-2z",
    "M0 6L6 0M0 0L6 6",
    "M0 3H6M3 0V6",
)
STRANDED: Final = "#D55E00"


def picture(size: tuple[int, int], headline: str, description: str, inside: str) -> str:
    """An SVG element of a width and a height, with its headline on it and its content as text in it.

    Fills get names of this picture's own: a page that shows several would take the first one's, even where
    that is scrolled out of sight and draws nothing.
    """
    width, height = size
    inside = inside.replace("lab-", f"lab-{zlib.crc32((headline + inside).encode()):08x}-")
    style = f"width: 100%; max-width: {width}px; font: 11px system-ui, sans-serif; fill: currentColor"
    box = f'viewBox="0 0 {width} {height}" style="{style}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {box}>'
        f"<title>{escape(headline)}</title><desc>{escape(description)}</desc>"
        f'<text x="0" y="15" style="font-size: 14px; font-weight: 600">{escape(headline)}</text>'
        f"{inside}</svg>"
    )


def rectangle(where: tuple[float, float, float, float], fill: str, tip: str = "") -> str:
    """An SVG rectangle at x, y of a width and a height; `tip` shows when one points at it."""
    x, y, width, height = where
    inside = f"<title>{escape(tip)}</title>" if tip else ""
    box = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {box} fill="{fill}">{inside}</rect>'


def patterns(tenants: int) -> str:
    """A fill for each tenant: colour and hatch. One for what is stranded."""
    fills = [
        _pattern(
            f"lab-tenant-{number}",
            6,
            f'<rect width="6" height="6" fill="{COLOURS[number]}"/><path d="{HATCHES[number]}" '
            'stroke="#fff" stroke-width="1" stroke-opacity="0.7" fill="none"/>',
        )
        for number in range(min(tenants, len(COLOURS)))
    ]
    lines = f'<path d="M0 4L4 0" stroke="{STRANDED}" stroke-width="1.2"/>'
    return f"<defs>{''.join(fills)}{_pattern('lab-stranded', 4, lines)}</defs>"


def _pattern(name: str, size: int, inside: str) -> str:
    box = f'width="{size}" height="{size}" patternUnits="userSpaceOnUse"'
    return f'<pattern id="{name}" {box}>{inside}</pattern>'
