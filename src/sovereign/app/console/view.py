"""The picture drawn as lines of exactly the terminal's width, as many as its height.

Colors repeat what signs and words say already: a sign before every profit, `>` and `<` at an imbalance, `*` at the POC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from rich.text import Text

from sovereign.app.console.ladder import Bar, Cell
from sovereign.app.console.picture import Holding, Picture
from sovereign.core.decision import Decision, Refused
from sovereign.core.instrument import Instrument
from sovereign.core.position import Trade
from sovereign.core.session import from_ns

MIN_WIDTH, MIN_HEIGHT = 60, 12
_SIDE_WIDTH = 29
_WIDE_SIDE_WIDTH = 36
_CELL = 13
_GOOD, _BAD, _DIM, _LOUD = "green", "red", "bright_black", "bold"
_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Marks:
    """The characters of lines and bars."""

    rule: str = "─"
    wall: str = "│"
    full: str = "█"
    empty: str = "░"


ASCII = Marks("-", "|", "#", ".")


class Painter:
    """Draws pictures. It remembers only which prices the ladder showed, so that the ladder stands still while it can."""

    def __init__(self, marks: Marks | None = None) -> None:
        self._marks = marks or Marks()
        self._top: int | None = None

    def draw(self, picture: Picture, width: int, height: int, note: str = "") -> Text:
        """Return the picture as `height` lines of `width` columns; `note` takes the place of the trading state."""
        if width < MIN_WIDTH or height < MIN_HEIGHT:
            return _joined(self._small(picture), width, height)
        feed_height = max(4, min(height // 3, 7 + (height - 24) // 2))
        body_height = height - 2 - feed_height
        side_width = _WIDE_SIDE_WIDTH if width >= 110 else _SIDE_WIDTH
        left_width = width - side_width - 3
        left = [self._rule("footprint: bid x ask", left_width), *self._ladder(picture, left_width, body_height - 1)]
        right = [self._rule("session", side_width), *self._side(picture, side_width, body_height - 1)]
        lines = self._head(picture, width, note)
        for n in range(body_height):
            line = _fit(left[n] if n < len(left) else Text(), left_width)
            line.append(f" {self._marks.wall} ", _DIM)
            line.append_text(_fit(right[n] if n < len(right) else Text(), side_width))
            lines.append(line)
        lines += self._feed(picture, width, feed_height)
        return _joined(lines, width, height)

    # The head

    def _head(self, picture: Picture, width: int, note: str) -> list[Text]:
        head = picture.head
        first = Text(" ")
        first.append(head.strategy, _LOUD)
        first.append(f"  {picture.instrument.symbol}  ", _LOUD)
        first.append(f" {head.label} ", "bold black on yellow" if head.label.startswith("SIMULATED") else "bold reverse")
        first.append(f"  {_clock(picture):%a %Y-%m-%d %H:%M:%S %Z}")
        price = _price(picture.instrument, picture.last_ticks)
        last = Text(f"last {price} ", _LOUD)
        speed = (
            "as fast as it goes"
            if picture.speed == 0
            else f"x{picture.speed:,.0f}"
            if picture.speed >= 10
            else f"x{picture.speed:g}"
        )
        state = "" if picture.state == "ACTIVE" else f"{picture.state}: {picture.state_reason}"
        bar_width = max(8, min(40, width // 4))
        done = round(picture.done_frac * bar_width)
        second = Text(" ")
        second.append(self._marks.full * done, "cyan")
        second.append(self._marks.empty * (bar_width - done), _DIM)
        second.append(f" {picture.done_frac:4.0%} of {picture.session}  speed {speed}  ")
        second.append(note or state or "trading ACTIVE", _LOUD if note else f"bold {_BAD}" if state else _DIM)
        return [_ends(first, last, width), second]

    def _small(self, picture: Picture) -> list[Text]:
        price = _price(picture.instrument, picture.last_ticks)
        return [
            Text(f"{picture.head.strategy} {picture.instrument.symbol} {picture.head.label}"),
            Text(f"{_clock(picture):%H:%M:%S %Z} last {price} {picture.done_frac:.0%}"),
            Text(f"position {_position_words(picture)}"),
            Text(f"day {_signed(picture.day_pnl)} balance {picture.balance:,.2f}"),
            Text(f"(the full view needs {MIN_WIDTH} x {MIN_HEIGHT})", _DIM),
        ]

    # The ladder

    def _ladder(self, picture: Picture, width: int, height: int) -> list[Text]:
        instrument = picture.instrument
        if not picture.bars:
            wait = "no bar has traded yet" if picture.market.candidates == 0 else "this strategy's signals have no footprint"
            return [Text(f" {wait}", _DIM)]
        labels = max(len(_price(instrument, max(max(bar.cells) for bar in picture.bars))), 6)
        bars = picture.bars[-max(1, (width - labels - 1) // _CELL) :]
        levels = max(1, height - 3)
        top = self._window(bars, picture.last_ticks, levels)
        lines = [self._bar_heads(bars, picture, labels)]
        for price in range(top, top - levels, -1):
            line = Text(_price(instrument, price).rjust(labels), _LOUD if price == picture.last_ticks else _DIM)
            line.append(">" if price == picture.last_ticks else " ", _LOUD)
            for bar in bars:
                line.append_text(_cell(bar.cells.get(price), bar.close == price))
            lines.append(line)
        delta = Text("delta".rjust(labels) + " ", _DIM)
        volume = Text("volume".rjust(labels) + " ", _DIM)
        for bar in bars:
            delta.append(_compact(bar.delta, sign=True).center(_CELL), _GOOD if bar.delta >= 0 else _BAD)
            volume.append(_compact(bar.volume).center(_CELL), _DIM)
        return [*lines, delta, volume]

    def _bar_heads(self, bars: Sequence[Bar], picture: Picture, labels: int) -> Text:
        line = Text("".rjust(labels + 1))
        for bar in bars:
            name = "now" if bar.end_ns is None else f"to {from_ns(bar.end_ns, picture.zone):%H:%M}"
            line.append(name.center(_CELL), _LOUD if bar.is_open else "")
        return line

    def _window(self, bars: Sequence[Bar], last: int | None, levels: int) -> int:
        # Keep the price in the middle half; inside it the ladder does not move.
        newest = bars[-1].cells
        center = last if last is not None else (max(newest) + min(newest)) // 2
        margin = levels // 4
        top = self._top
        if top is None or not top - levels + 1 + margin <= center <= top - margin:
            top = center + levels // 2
        self._top = top
        return top

    # The side

    def _side(self, picture: Picture, width: int, height: int) -> list[Text]:
        instrument, market = picture.instrument, picture.market

        def price(ticks: float | None) -> str:
            return _UNKNOWN if ticks is None else f"{ticks * float(instrument.tick_size):,.{instrument.price_precision}f}"

        regime = market.regime or "no bar yet"
        if market.why_not:
            regime = f"none: {market.why_not}"
        elif market.confidence is not None:
            regime += f" {market.confidence:.2f}"
        adx = "warming up" if market.adx is None else f"{market.adx:.1f}"
        atr = "warming up" if market.atr is None else f"{market.atr:.1f} ticks"
        area = (
            f"{price(market.value_area_low)}-{price(market.value_area_high)}" if market.value_area_low is not None else _UNKNOWN
        )
        delta = _UNKNOWN if market.cumulative_delta is None else f"{market.cumulative_delta:+,}"
        # The number says how early a line goes when the terminal is low; 0 never goes.
        rows: list[tuple[int, Text]] = [
            (0, _row("regime", regime, width, "cyan")),
            (0, _row("ADX / ATR", f"{adx} / {atr}" if market.adx is not None else atr, width)),
            (0, _row("VWAP", price(market.vwap), width)),
            (0, _row("value", area, width)),
            (5, _row("POC", price(market.poc), width)),
            (1, _row("cum. delta", delta, width, _tone(market.cumulative_delta))),
            (6, Text()),
            *((0, line) for holding in picture.holdings for line in _holding_rows(picture.instrument, holding, width)),
        ]
        if not picture.holdings:
            rows.append((0, _row("position", "flat", width)))
        room = _UNKNOWN if picture.room is None else f"{picture.room:,.2f}"
        rows += [
            (6, Text()),
            (0, _row("balance", f"{picture.balance:,.2f}", width)),
            (0, _row("day P&L", _signed(picture.day_pnl), width, _tone(picture.day_pnl))),
            (0, _row("room today", room, width)),
            (2, _row("tier", picture.tier or "none", width)),
            (4, _row("candidates", f"{market.candidates:,} ({market.passed:,} routed)", width)),
            (4, _row("decided", f"{picture.decided}, trades {picture.closed}", width)),
        ]
        for rank in sorted({rank for rank, _ in rows if rank}, reverse=True):
            if len(rows) <= height:
                break
            rows = [row for row in rows if row[0] != rank]
        return [line for _, line in rows]

    # Decisions and trades

    def _feed(self, picture: Picture, width: int, height: int) -> list[Text]:
        trades_height = min(max(2, height // 3), 1 + max(1, len(picture.trades)))
        said = [(decision.ts, _decision_row(picture, decision)) for decision in picture.decisions]
        said += [(notice[0], _notice_row(picture, notice)) for notice in picture.notices]
        decision_lines = [line for _, line in sorted(said, key=lambda item: item[0])][::-1]
        trade_lines = [_trade_row(picture, trade) for trade in reversed(picture.trades)]
        above = height - trades_height - 2
        return [
            self._rule("last decisions (newest first)", width),
            *_padded(decision_lines or [Text(" none yet", _DIM)], above),
            self._rule("last trades", width),
            *_padded(trade_lines or [Text(" none yet", _DIM)], trades_height),
        ]

    def _rule(self, title: str, width: int) -> Text:
        line = Text(f"{self._marks.rule} {title} ", _DIM)
        line.append(self._marks.rule * max(0, width - line.cell_len), _DIM)
        return line


def _holding_rows(tape: Instrument, holding: Holding, width: int) -> list[Text]:
    side = "LONG" if holding.quantity > 0 else "SHORT"
    color = _GOOD if holding.quantity > 0 else _BAD

    def price(ticks: int | None) -> str:
        return "none" if ticks is None else _price(tape, ticks)

    entry = f"{holding.entry_ticks * float(tape.tick_size):,.{tape.price_precision}f}"
    pnl = _UNKNOWN if holding.pnl is None else _signed(holding.pnl)
    return [
        _row("position", f"{side} {abs(holding.quantity)} {holding.symbol}", width, f"bold {color}"),
        _row("entry", entry, width),
        _row("stop|target", f"{price(holding.stop_ticks)}|{price(holding.target_ticks)}", width),
        _row("open P&L", pnl, width, f"bold {_tone(holding.pnl)}"),
    ]


def _decision_row(picture: Picture, decision: Decision) -> Text:
    proposal = decision.proposal
    line = Text(f" {from_ns(decision.ts, picture.zone):%H:%M:%S} ", _DIM)
    line.append(f"{proposal.name:<22.22} ")
    line.append(f"{proposal.side.value:<4} ", _GOOD if proposal.side.sign > 0 else _BAD)
    outcome = decision.outcome
    if isinstance(outcome, Refused):
        line.append(f"{decision.verdict.value:<8} ", "yellow")
        line.append(outcome.reason if outcome.reason.startswith(outcome.check) else f"{outcome.check}: {outcome.reason}")
    else:
        line.append(f"{decision.verdict.value:<8} ", f"bold {_GOOD}")
        line.append(f"{outcome.quantity} {outcome.symbol}, strength {proposal.strength:.2f}")
    return line


def _notice_row(picture: Picture, notice: tuple[int, str]) -> Text:
    return Text(f" {from_ns(notice[0], picture.zone):%H:%M:%S} {notice[1]}", "yellow")


def _trade_row(picture: Picture, trade: Trade) -> Text:
    def price(ticks: float) -> str:
        return f"{ticks * float(trade.instrument.tick_size):,.{trade.instrument.price_precision}f}"

    line = Text(f" {from_ns(trade.exit_ns, picture.zone):%H:%M:%S} ", _DIM)
    line.append(f"{'LONG' if trade.side.sign > 0 else 'SHORT':<5} {trade.quantity} {trade.instrument.symbol} ")
    line.append(f"{price(trade.entry_ticks)} -> {price(trade.exit_ticks)} by {trade.exit_role.value.lower():<7} ")
    line.append(f"net {_signed(trade.net)}", _tone(trade.net))
    signal = trade.labels.get("signal", "")
    line.append(f"  {signal}", _DIM)
    return line


def _cell(cell: Cell | None, is_close: bool) -> Text:
    if cell is None:
        return Text("".center(_CELL))
    line = Text(" ")
    line.append("<" if cell.sell else " ", f"bold {_BAD}")
    line.append(_compact(cell.bid).rjust(4), f"bold {_BAD}" if cell.sell else "")
    line.append("x", _DIM)
    line.append(_compact(cell.ask).ljust(4), f"bold {_GOOD}" if cell.buy else "")
    line.append(">" if cell.buy else " ", f"bold {_GOOD}")
    line.append("*" if cell.is_poc else "-" if is_close else " ", "bold yellow" if cell.is_poc else _DIM)
    return line


def _compact(number: int, *, sign: bool = False) -> str:
    size = abs(number)
    text = f"{size}" if size < 10_000 else f"{size / 1e3:.0f}k" if size < 999_500 else f"{size / 1e6:.1f}M"
    return ("-" if number < 0 else "+" if sign else "") + text


def _clock(picture: Picture) -> datetime:
    return from_ns(picture.now_ns, picture.zone)


def _price(instrument: Instrument, ticks: int | None) -> str:
    return _UNKNOWN if ticks is None else f"{instrument.to_price(ticks):.{instrument.price_precision}f}"


def _signed(money: Decimal) -> str:
    return f"{money:+,.2f}"


def _tone(value: Decimal | int | None) -> str:
    return "" if not value else _GOOD if value > 0 else _BAD


def _position_words(picture: Picture) -> str:
    return ", ".join(f"{h.quantity:+d} {h.symbol}" for h in picture.holdings) or "flat"


def _row(name: str, value: str, width: int, style: str = "") -> Text:
    line = Text(f"{name:<11}", _DIM)
    line.append(value[: width - 11].rjust(width - 11), style)
    return line


def _fit(line: Text, width: int) -> Text:
    line.truncate(width, overflow="crop", pad=True)
    return line


def _ends(left: Text, right: Text, width: int) -> Text:
    left.truncate(max(0, width - right.cell_len), overflow="crop", pad=True)
    left.append_text(right)
    return left


def _padded(lines: list[Text], height: int) -> list[Text]:
    return [*lines[:height], *(Text() for _ in range(height - len(lines)))]


def _joined(lines: list[Text], width: int, height: int) -> Text:
    lines = _padded(lines, height)
    for line in lines:
        _fit(line, width)
    whole = Text("\n", no_wrap=True, end="").join(lines)
    whole.no_wrap, whole.end = True, ""
    return whole


def progress_line(picture: Picture) -> str:
    """Return the picture as one plain line: time, price, position, the day's profit and how far the session is."""
    price = _price(picture.instrument, picture.last_ticks)
    mark = "SIMULATED  " if picture.head.label.startswith("SIMULATED") else ""
    when = f"{_clock(picture):%Y-%m-%d %H:%M:%S %Z}"
    return (
        f"{mark}{when}  {picture.instrument.symbol} {price}  position {_position_words(picture)}  "
        f"day P&L {_signed(picture.day_pnl)}  trades {picture.closed}  {picture.done_frac:.0%}"
    )
