"""Order flow of one instrument as a signal stream: footprint bars, their patterns, the regime, and the router's verdict.

The stream holds the arrays and grows them; everything per tick and per bar happens in one compiled call a block. Rows do not
depend on how the ticks were cut into blocks. Kernels are loaded when the first stream is made, not at import.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sovereign.core.columns import Trades
from sovereign.core.errors import DataError, NotFoundError
from sovereign.core.instrument import Instrument
from sovereign.core.session import Session
from sovereign.kernels.order_flow_setting import FootprintConfig, PatternConfig
from sovereign.kernels.setting import RegimeConfig, RouterConfig

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["FootprintConfig", "OrderFlowStream", "PatternConfig"]

_FIRST_LEVELS = 1_024
_FIRST_ROWS = 128


class OrderFlowStream:
    """Signals of one instrument (`core.port.SignalStream`); rows are `kernels.row.ROW`, candidates `kernels.row.CANDIDATE`.

    Reset by `start_session`: rows, candidates, the open bar, cumulative delta, session profile and VWAP, swings, footprints.
    Kept over sessions: the ranking of absorption zones, and of the regime what its configuration says.

    Parameters
    ----------
    instrument : whose ticks are coming; it chooses the volume minimums.
    footprint, patterns, regime, router : settings; None takes the defaults.
    news : intervals `[start, end)` in UTC ns without trading, added to those of `regime`.

    Raises
    ------
    ConfigurationError : there are no volume minimums for the instrument, or a news interval is impossible.
    """

    def __init__(
        self,
        instrument: Instrument,
        footprint: FootprintConfig | None = None,
        patterns: PatternConfig | None = None,
        regime: RegimeConfig | None = None,
        router: RouterConfig | None = None,
        news: Iterable[tuple[int, int]] = (),
    ) -> None:
        from sovereign.kernels import memory
        from sovereign.kernels import order_flow as kernel
        from sovereign.kernels.footprint import ENTRIES, LEVEL, STRIDE, read_levels
        from sovereign.kernels.regime import new_regime_state, regime_config
        from sovereign.kernels.router import router_config
        from sovereign.kernels.row import CANDIDATE, ROW

        self.instrument = instrument
        self.footprint_config = footprint or FootprintConfig()
        self.pattern_config = patterns or PatternConfig()
        self._kernel: ModuleType = kernel
        self._advance = kernel.advance
        self._row_dtype = ROW
        self._candidate_dtype = CANDIDATE
        self._level_dtype = LEVEL
        self._read_levels = read_levels
        self._memory = np.zeros(memory.MEMORY_SIZE, np.uint8)
        records = memory.records(self._memory)
        self._state = records.footprint
        self._regime_state = records.regime
        self._regime_config = records.regime_config
        memory.write_footprint_config(records.footprint_config, self.footprint_config)
        memory.write_pattern_config(records.pattern_config, self.pattern_config, self.pattern_config.minimums_of(instrument))
        records.regime[:] = new_regime_state()
        records.regime_config[:] = regime_config(regime or RegimeConfig(), news)
        records.router_config[:] = router_config(router or RouterConfig())
        self._stride = STRIDE
        self._entries = ENTRIES
        width = min(_FIRST_LEVELS, self.footprint_config.max_levels)
        self._levels = np.zeros(width * ENTRIES, np.int64)
        self._profile = np.zeros(width, np.int64)
        self._log_bytes = np.zeros(_FIRST_LEVELS * self._level_dtype.itemsize, np.uint8)
        self._row_bytes = np.zeros(_FIRST_ROWS * ROW.itemsize, np.uint8)
        self._candidate_bytes = np.zeros(2 * _FIRST_ROWS * CANDIDATE.itemsize, np.uint8)
        self._new_rows()
        kernel.start_session(self._memory, self._levels, self._profile, np.iinfo(np.int64).max, 0)

    @property
    def rows(self) -> NDArray[Any]:
        """Rows completed so far in this session; a view that later rows do not change."""
        return self._rows[: int(self._state["rows"][0])]

    @property
    def candidates(self) -> NDArray[Any]:
        """Candidates of the completed rows, in row order, within a row in the order of `kernels.row.Pattern`."""
        return self._candidates[: int(self._state["candidates"][0])]

    def start_session(self, session: Session) -> None:
        """Begin a trade date: rows anew, time bars on the grid of its regular open (or of the epoch)."""
        from sovereign.kernels.regime import start_regime_session

        self._new_rows()
        anchor = session.regular_open_ns if self.footprint_config.alignment == "regular_open" else 0
        self._kernel.start_session(self._memory, self._levels, self._profile, session.close_ns, anchor)
        start_regime_session(
            self._regime_state,
            self._regime_config,
            session.regular_open_ns,
            session.regular_close_ns,
            session.open_ns,
            session.close_ns,
        )

    def advance(self, trades: Trades, until_ns: int) -> None:
        """Consume the next ticks and close every bar that ends at or before `until_ns` or before a tick of the block.

        A bar that the session's close cuts short is closed when `until_ns` or a tick reaches the close; without that the last
        bar stays open and leaves no row.

        Raises
        ------
        DataError : a tick is earlier than the stream was promised complete, or prices range over more than `max_levels`.
        """
        status = self._advance(
            trades.ts,
            trades.price,
            trades.size,
            trades.side,
            until_ns,
            0,
            self._memory,
            self._levels,
            self._profile,
            self._row_bytes,
            self._candidate_bytes,
            self._log_bytes,
        )
        while status:
            self._make_room(status, trades)
            status = self._advance(
                trades.ts,
                trades.price,
                trades.size,
                trades.side,
                until_ns,
                self._state["consumed"][0],
                self._memory,
                self._levels,
                self._profile,
                self._row_bytes,
                self._candidate_bytes,
                self._log_bytes,
            )

    def footprint(self, index: int) -> NDArray[Any]:
        """Return the levels of row `index` (`kernels.footprint.LEVEL`, lowest price first, gaps included as zeros).

        Raises
        ------
        NotFoundError : there is no such row, or it is older than the `kept_bars` last ones.
        """
        rows = self.rows
        at = index + len(rows) if index < 0 else index
        kept = self.footprint_config.kept_bars
        oldest = max(0, len(rows) - kept)
        if not oldest <= at < len(rows):
            raise NotFoundError(
                f"footprint of row {index} was asked for; kept are the rows {oldest}..{len(rows) - 1} ({kept} bars at most); "
                f"raise kept_bars to keep more"
            )
        counts = rows["high"][at:].astype(np.int64) - rows["low"][at:] + 1
        start = int(self._state["log_end"][0]) - int(counts.sum())
        levels: NDArray[Any] = self._log_bytes.view(self._level_dtype)[start : start + int(counts[0])].copy()
        return levels

    def open_footprint(self) -> NDArray[Any]:
        """Return the levels of the bar that is still open, as `footprint` does; empty when there is none."""
        state = self._state[0]
        if state["trades"] == 0:
            return np.zeros(0, self._level_dtype)
        low, high, base = int(state["low"]), int(state["high"]), int(state["base"])
        bid, ask, volume = np.zeros((3, high - low + 1), np.int64)
        self._read_levels(self._levels, base, low, high, bid, ask, volume)
        levels = np.zeros(high - low + 1, self._level_dtype)
        levels["price"] = np.arange(low, high + 1)
        levels["bid"] = bid
        levels["ask"] = ask
        levels["volume"] = volume
        return levels

    def unfinished_auctions(self, count: int | None = None) -> NDArray[Any]:
        """Return the unfinished auctions that stand open after the first `count` rows (default: all), oldest first.

        Fields: `price` (ticks), `row` (where it was left), `is_high`. Only those rows are read: what is returned was known
        at row `count - 1`. At most `unfinished_kept` are remembered, and none of an earlier session.
        """
        from sovereign.kernels.pattern import open_auctions

        kept = self.pattern_config.unfinished_kept
        price, row, is_high = np.zeros(kept, np.int64), np.zeros(kept, np.int64), np.zeros(kept, np.bool_)
        rows = self.rows
        found = open_auctions(rows, len(rows) if count is None else min(count, len(rows)), price, row, is_high)
        auctions = np.zeros(found, [("price", np.int32), ("row", np.int32), ("is_high", np.bool_)])
        auctions["price"] = price[:found]
        auctions["row"] = row[:found]
        auctions["is_high"] = is_high[:found]
        return auctions

    def _new_rows(self) -> None:
        # The rows of the session before stay with whoever holds them; the new arrays are as large as those had become.
        self._row_bytes = np.zeros_like(self._row_bytes)
        self._candidate_bytes = np.zeros_like(self._candidate_bytes)
        self._rows = self._row_bytes.view(self._row_dtype)
        self._candidates = self._candidate_bytes.view(self._candidate_dtype)

    def _make_room(self, status: int, trades: Trades) -> None:
        kernel = self._kernel
        if status == kernel.OUT_OF_ORDER:
            promised = int(self._state["promised_ns"][0])
            raise DataError(
                f"tick of {self.instrument.symbol} was at {int(trades.ts[0])} ns; allowed is {promised} ns or "
                f"later, because everything earlier was promised complete; sort the ticks or send them to their own session"
            )
        if status == kernel.NEED_ROWS:
            self._row_bytes = _grown(self._row_bytes, 2 * len(self._row_bytes))
            self._candidate_bytes = _grown(
                self._candidate_bytes,
                max(2 * len(self._candidate_bytes), len(self._rows) * 2 * self._candidate_dtype.itemsize),
            )
            self._rows = self._row_bytes.view(self._row_dtype)
            self._candidates = self._candidate_bytes.view(self._candidate_dtype)
            return
        wanted = int(self._state["wanted"][0])
        if status == kernel.NEED_LOG:
            self._log_bytes = _grown(self._log_bytes, 2 * wanted * self._level_dtype.itemsize)
            return
        allowed = self.footprint_config.max_levels
        if wanted > allowed:
            raise DataError(
                f"prices of {self.instrument.symbol} ranged over {wanted} ticks within a session; allowed are {allowed} "
                f"(max_levels); look for a bad price in the session's data, or raise max_levels"
            )
        room = min(2 * wanted, allowed)
        if status == kernel.NEED_SESSION:
            self._profile = _grown(self._profile, room)
        else:
            # The window comes first in the array, so a longer array holds it unchanged; the plain arrays behind it are scratch.
            width = len(self._levels) // self._entries
            levels = np.zeros(room * self._entries, np.int64)
            levels[: width * self._stride] = self._levels[: width * self._stride]
            self._levels = levels


def _grown(array: NDArray[Any], length: int) -> NDArray[Any]:
    larger = np.zeros(length, array.dtype)
    larger[: len(array)] = array
    return larger
