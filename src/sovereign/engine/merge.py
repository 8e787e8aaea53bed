"""Blocks of several tapes put into one order of time before an engine walks them.

One tape passes straight through. Of several, each promises its own completeness; what is certain is what lies before the
earliest promise, and only that is handed on: no tape can then bring anything that should have come first, however the blocks
were cut. What is held back is bounded by how far the tapes' promises lie apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from sovereign.core.columns import Trades
from sovereign.core.errors import DataError
from sovereign.core.port import Block, make_block


class TapeMerger:
    """Holds blocks until they are certain.

    Parameters
    ----------
    symbols : the tapes of the session, every one of which must promise time for the others to go on.
    start_ns : nothing of the session is earlier.
    """

    def __init__(self, symbols: Sequence[str], start_ns: int) -> None:
        self._promised = dict.fromkeys(symbols, start_ns)
        self._held: dict[str, list[Trades]] = {symbol: [] for symbol in symbols}
        self._is_single = len(self._promised) == 1
        self.until_ns = start_ns
        """Up to where everything has been handed on."""

    def promised_ns(self, symbol: str) -> int:
        """Return up to when a tape has promised to be complete."""
        return self._promised[symbol]

    @property
    def held_ticks(self) -> int:
        """Number of ticks that wait for the promise of another tape."""
        return sum(len(part) for parts in self._held.values() for part in parts)

    def add(self, block: Block) -> list[Block]:
        """Take a block; return what is certain now, one block a tape, all with the same `until_ns`, or nothing.

        Raises
        ------
        DataError : the symbol is not one of the session.
        """
        if block.symbol not in self._promised:
            raise DataError(f"a block was of {block.symbol}; traded in this session are {', '.join(self._promised) or 'none'}")
        if self._is_single:
            self._promised[block.symbol] = self.until_ns = max(self.until_ns, block.until_ns)
            return [block]
        if len(block.trades.ts):
            self._held[block.symbol].append(block.trades)
        self._promised[block.symbol] = max(self._promised[block.symbol], block.until_ns)
        return self._certain()

    def promise(self, ts: int) -> list[Block]:
        """Take the promise that no tape brings anything before `ts`; return what is certain now."""
        for symbol, promised in self._promised.items():
            self._promised[symbol] = max(promised, ts)
        if self._is_single:
            symbol = next(iter(self._promised))
            if ts <= self.until_ns:
                return []
            self.until_ns = ts
            return [Block(symbol, Trades.empty(), ts)]
        return self._certain()

    def rest(self) -> list[Block]:
        """Return what is still held, for the end of a session."""
        until = max(self._promised.values(), default=self.until_ns)
        blocks = [Block(symbol, Trades.concat(parts), until) for symbol, parts in self._held.items() if parts]
        self._held = {symbol: [] for symbol in self._promised}
        self.until_ns = until
        return blocks

    def _certain(self) -> list[Block]:
        until = min(self._promised.values())
        if until <= self.until_ns:
            return []
        self.until_ns = until
        return [make_block(symbol, self._take(symbol, until), until) for symbol in self._promised]

    def _take(self, symbol: str, until: int) -> Trades:
        parts, ready = self._held[symbol], []
        while parts:
            if parts[0].ts.item(-1) >= until:
                stop = int(parts[0].ts.searchsorted(until))
                if stop:
                    ready.append(parts[0].slice(0, stop))
                    parts[0] = parts[0].slice(stop, len(parts[0]))
                break
            ready.append(parts.pop(0))
        return ready[0] if len(ready) == 1 else Trades.concat(ready)
