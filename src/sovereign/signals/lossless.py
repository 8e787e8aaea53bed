"""Levels and capitulation of one instrument as a signal stream: a row a bar, judged by what was known before it.

What the stream remembers (counts, volumes, the daily range, every bar as prices) grows over sessions and is a function of the
bars alone: fed the same history, another stream is the same stream, so a restart is a replay. The buckets' width is chosen
between sessions, from days that are over.
"""

from __future__ import annotations

import math
from datetime import time
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sovereign.core.instrument import Instrument
from sovereign.core.session import NS_PER_MINUTE, Session
from sovereign.kernels.lossless_setting import GapConfig, LevelConfig, VolumeConfig
from sovereign.signals.bar_gap import BarGaps, GapState, gap_state
from sovereign.signals.bars import ROW_HEAD, BarStream
from sovereign.signals.levels import LevelBook

__all__ = ["GapConfig", "LevelConfig", "LosslessStream", "VolumeConfig"]

_DAY_MINUTES = 1_440


class LosslessStream(BarStream):
    """Rows of `kernels.lossless.ROW_FIELDS` after the bar (`core.port.SignalStream`).

    A row wakes the strategy when volume capitulated at a level against the bar, or when a level held on elevated volume.

    Parameters
    ----------
    instrument : whose ticks are coming.
    seconds : width of the bars.
    levels, volume, gap : settings; None takes the defaults.
    hours : bars of the day session, or of everything the venue trades.
    """

    def __init__(
        self,
        instrument: Instrument,
        seconds: int,
        levels: LevelConfig | None = None,
        volume: VolumeConfig | None = None,
        gap: GapConfig | None = None,
        hours: Literal["regular", "all"] = "regular",
    ) -> None:
        from sovereign.kernels.capitulation import BINS
        from sovereign.kernels.indicator import ATR_STATE, step_atr
        from sovereign.kernels.lossless import READER, ROW_FIELDS, read_bars

        self.row_dtype = np.dtype(ROW_HEAD + ROW_FIELDS, align=True)
        super().__init__(instrument, seconds)
        self.level_config = levels or LevelConfig()
        self.volume_config = volume or VolumeConfig()
        self.gap_config = gap or GapConfig()
        self.book = LevelBook()
        self.gaps = BarGaps()
        self.average_range = math.nan
        self._seconds = seconds
        self._is_all_hours = hours == "all"
        self._read = read_bars
        self._step_atr = step_atr
        self._range_state = np.zeros(ATR_STATE)
        slots = -(-_DAY_MINUTES // self.volume_config.slot_minutes)
        self._trees = np.zeros((slots, BINS + 1), np.int32)
        self._totals = np.zeros(slots, np.int64)
        self._reader = np.zeros(1, READER)
        self._reader["slot_ns"] = self.volume_config.slot_minutes * NS_PER_MINUTE
        self._reader["warm_up"] = self.volume_config.warm_up
        self._reader["capitulation_rank"] = self.volume_config.capitulation_rank
        self._reader["elevated_rank"] = self.volume_config.elevated_rank
        self._reader["touch_frac"] = self.level_config.touch_frac
        self._reader["stop_frac"] = self.level_config.stop_frac
        self._reader["searches_whole"] = self.level_config.search == "whole"

    @property
    def nbytes(self) -> int:
        """Memory of what is remembered over sessions, bytes; of the volumes, the slots that have any."""
        slots = int(np.count_nonzero(self._totals))
        volumes = slots * int(self._trees[0].nbytes) + int(self._totals.nbytes)
        return self.book.history.nbytes + int(self.book.scores.nbytes) + volumes

    def start_session(self, session: Session) -> None:
        """Begin a trade date: the day before goes into the daily range, which may choose another granularity."""
        self._end_day()
        super().start_session(session)
        self.gaps = BarGaps()
        reader = self._reader
        is_all = self._is_all_hours
        reader["opens_ns"] = session.open_ns if is_all else session.regular_open_ns
        reader["closes_ns"] = session.close_ns if is_all else session.regular_close_ns
        reader["ended_ns"] = reader["opens_ns"]
        reader["midnight_ns"] = session.at(time(0))
        reader["day_bars"] = 0

    def fill(self, bars: NDArray[Any], rows: NDArray[Any]) -> None:
        """Judge bars by what was known before each, then count them."""
        reader, book = self._reader, self.book
        is_counted = (bars["known_at"] > reader["opens_ns"]) & (bars["open_ns"] < reader["closes_ns"])
        at = 0
        while at < len(bars):
            at = self._read(bars, rows, at, reader, book.state, book.scores, self._trees, self._totals)
            if at < len(bars):
                book.make_room(int(bars["high"][at]), int(bars["low"][at]))
        book.history.append(bars[is_counted])
        self.gaps = self.gaps.after(rows["gap_s"].tolist(), self.gap_config)

    def gap(self, now_ns: int) -> GapState:
        """Return how bad the present silence is; none outside the hours, and before the first session."""
        reader = self._reader[0]
        if self.session is None or not reader["opens_ns"] <= now_ns < reader["closes_ns"] or not self.session.is_open(now_ns):
            return GapState.NONE
        return gap_state(int(reader["ended_ns"]), now_ns, self._seconds, self.gap_config)

    def _end_day(self) -> None:
        reader, config = self._reader[0], self.level_config
        if not reader["day_bars"]:
            return
        high, low, close = float(reader["day_high"]), float(reader["day_low"]), float(reader["last"])
        self.average_range = float(self._step_atr(self._range_state, high, low, close, config.atr_days))
        if math.isnan(self.average_range):
            return
        ideal, used = max(1, round(self.average_range / config.buckets_per_atr)), self.book.granularity
        if not used or max(ideal, used) > config.rebuild_factor * min(ideal, used):
            self.book.set_granularity(ideal)
