"""The equity of a session as a small PNG, drawn with Pillow (the extra `notify`); without it there is no picture.

Drawn at twice the size and scaled down, which smooths the lines.
"""

from __future__ import annotations

import io
import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache
from logging import getLogger
from typing import Any

from sovereign.core.session import from_ns

LOG = getLogger(__name__)

_WIDTH, _HEIGHT, _SCALE = 880, 420, 2
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 20, 52, 40
_PAPER, _INK, _SOFT, _GRID = (255, 255, 255), (31, 41, 55), (107, 114, 128), (229, 231, 235)
_GOOD, _BAD = (22, 163, 74), (220, 38, 38)
_MOST_POINTS = 2_000
_LINES = 5


@cache
def _pillow() -> tuple[Any, Any, Any] | None:
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError:
        LOG.warning("alerts: Pillow is not installed, so the daily digest has no chart; install the extra 'notify'")
        return None
    return Image, ImageDraw, ImageFont


def equity_picture(
    title: str, curve: Sequence[tuple[int, float]], exits: Sequence[tuple[int, float]], zone: str, currency: str
) -> bytes | None:
    """Return a PNG of equity over time, with a dot at each closed trade (green for a gain); None when it cannot be drawn.

    Parameters
    ----------
    curve : (UTC ns, money) in time order; points that are not finite are left out. exits : (UTC ns, profit and loss).
    """
    tools = _pillow()
    points = [(ts, value) for ts, value in curve if math.isfinite(value)]
    if tools is None or len(points) < 2 or points[0][0] == points[-1][0]:
        return None
    step = -(-len(points) // _MOST_POINTS)
    points = [*points[::step], points[-1]]
    image_of, draw_of, font_of = tools
    image = image_of.new("RGB", (_WIDTH * _SCALE, _HEIGHT * _SCALE), _PAPER)
    _Drawing(draw_of.Draw(image), font_of, points).draw(title, exits, zone, currency)
    out = io.BytesIO()
    image.resize((_WIDTH, _HEIGHT), image_of.Resampling.LANCZOS).save(out, "PNG", optimize=True)
    return out.getvalue()


class _Drawing:
    """The plot area and how times and money lie in it."""

    def __init__(self, pen: Any, font_of: Any, points: Sequence[tuple[int, float]]) -> None:
        self.pen = pen
        self.points = points
        self.small, self.large = font_of.load_default(12 * _SCALE), font_of.load_default(16 * _SCALE)
        self.first, self.last = points[0][0], points[-1][0]
        values = [value for _, value in points]
        self.levels = _levels(min(values), max(values))
        self.low, self.high = self.levels[0], self.levels[-1]

    def x(self, ts: int) -> float:
        return _SCALE * (_LEFT + (_WIDTH - _LEFT - _RIGHT) * (ts - self.first) / (self.last - self.first))

    def y(self, value: float) -> float:
        return _SCALE * (_HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (value - self.low) / (self.high - self.low))

    def draw(self, title: str, exits: Sequence[tuple[int, float]], zone: str, currency: str) -> None:
        pen, start = self.pen, self.points[0][1]
        pen.text((_LEFT * _SCALE, 14 * _SCALE), _printable(title), font=self.large, fill=_INK)
        for level in self.levels:
            y = self.y(level)
            pen.line((_LEFT * _SCALE, y, (_WIDTH - _RIGHT) * _SCALE, y), fill=_GRID, width=_SCALE)
            pen.text(((_LEFT - 8) * _SCALE, y), f"{level:,.{self._decimals()}f}", font=self.small, fill=_SOFT, anchor="rm")
        for part in range(_LINES):
            ts = self.first + (self.last - self.first) * part // (_LINES - 1)
            anchor = "la" if part == 0 else "ra" if part == _LINES - 1 else "ma"
            where = (self.x(ts), (_HEIGHT - _BOTTOM + 8) * _SCALE)
            words = f"{from_ns(ts, zone):%H:%M}" + (f" {from_ns(ts, zone):%Z}" if part == _LINES - 1 else "")
            pen.text(where, words, font=self.small, fill=_SOFT, anchor=anchor)
        pen.text(((_LEFT - 8) * _SCALE, (_TOP - 16) * _SCALE), _printable(currency), font=self.small, fill=_SOFT, anchor="rm")
        color = _GOOD if self.points[-1][1] >= start else _BAD
        line = [(self.x(ts), self.y(value)) for ts, value in self.points]
        ground = self.y(self.low)
        pen.polygon([*line, (line[-1][0], ground), (line[0][0], ground)], fill=_light(color))
        pen.line(((_LEFT * _SCALE), self.y(start), (_WIDTH - _RIGHT) * _SCALE, self.y(start)), fill=_SOFT, width=_SCALE)
        pen.line(line, fill=color, width=2 * _SCALE + 1, joint="curve")
        self._dots(exits)

    def _decimals(self) -> int:
        return 0 if self.levels[1] - self.levels[0] >= 1 else 2

    def _dots(self, exits: Sequence[tuple[int, float]]) -> None:
        times, radius = [ts for ts, _ in self.points], 4 * _SCALE
        for ts, net in exits:
            if self.first <= ts <= self.last:
                x, y = self.x(ts), self.y(self.points[bisect_right(times, ts) - 1][1])
                box = (x - radius, y - radius, x + radius, y + radius)
                self.pen.ellipse(box, fill=_GOOD if net > 0 else _BAD, outline=_PAPER, width=_SCALE)


def _levels(low: float, high: float) -> list[float]:
    """Return round money levels from below `low` to above `high`."""
    span = max(high - low, abs(high) * 1e-4, 0.05)
    raw = span / (_LINES - 1)
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw)
    first = math.floor(low / step)
    count = max(2, math.ceil(high / step) - first + 1)
    return [(first + at) * step for at in range(count)]


def _light(color: tuple[int, int, int]) -> tuple[int, ...]:
    return tuple(255 - (255 - part) // 7 for part in color)


def _printable(text: str) -> str:
    # the font that Pillow brings knows the Latin letters
    return "".join(character if character.isprintable() and ord(character) < 0x250 else "?" for character in text)
