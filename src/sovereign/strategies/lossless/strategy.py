"""The lossless strategy: each symbol by itself, against the crowd where volume capitulates at a level.

| Signal | When | Order |
|---|---|---|
| BUY | flat, capitulation in a falling bar that bounced off a support | opens a long |
| SELL | long, rejected at a resistance on elevated volume | closes it |
| SHORT | flat, capitulation in a rising bar that was rejected at a resistance | opens a short |
| COVER | short, bounced off a support on elevated volume | closes it |
| HOLD | anything else | none |

The stop lies beyond the level, the target at the nearest opposite level that is no weaker. The risk door sizes the order by its
loss at the stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.core.decision import Check, Proposal, RefusedColumns
from sovereign.core.errors import UsageError
from sovereign.core.instrument import Instrument
from sovereign.core.order import Bracket, OrderIntent, OrderRole, Side, TimeInForce
from sovereign.core.port import Moment, SignalStream
from sovereign.core.session import NS_PER_DAY, NS_PER_SECOND, Session
from sovereign.strategies.lossless.configuration import LosslessConfig

_DAY_S = NS_PER_DAY // NS_PER_SECOND
_MINUTE_S = 60

ROW_INPUTS = ("open", "high", "low", "close", "volume", "granularity", "volume_rank", "conviction", "gap_s")
"""Fields of the bar that every decision records, beside those of its level."""


class LosslessStrategy:
    """Trades capitulation at counted levels. Remembers nothing of the market; see `core.port.Strategy`."""

    name = "lossless"
    gate_names = ("passed",)
    is_stateless = True
    market = "portfolio"

    def __init__(self, config: LosslessConfig) -> None:
        self.config = config
        self._symbols: set[str] = set()

    @property
    def warm_up_sessions(self) -> int:
        """Sessions until buckets have a width and every time of day enough volumes to rank one, whichever is later."""
        config = self.config
        volumes_a_day = max(1, config.volume.slot_minutes * _MINUTE_S // config.bar_seconds)
        return max(config.level.atr_days + 1, -(-config.volume.warm_up // volumes_a_day))

    def signal_stream(self, instrument: Instrument) -> SignalStream:
        """Create the levels and volumes of one symbol.

        Raises
        ------
        UsageError : the universe would become larger than `max_symbols`.
        """
        from sovereign.signals.lossless import LosslessStream

        config = self.config
        if len(self._symbols | {instrument.symbol}) > config.max_symbols:
            raise UsageError(
                f"{instrument.symbol} was symbol number {len(self._symbols) + 1}; allowed are {config.max_symbols}; "
                f"leave some out or raise strategies.lossless.max_symbols"
            )
        self._symbols.add(instrument.symbol)
        return LosslessStream(instrument, config.bar_seconds, config.level, config.volume, config.gap, config.hours)

    def start_session(self, session: Session, instrument: Instrument) -> None:
        """Prepare for a trade date: nothing to do, what is remembered lies in the rows."""

    def decide(self, moment: Moment) -> Sequence[Proposal]:
        """Return the bar's signal as a proposal; nothing when it says hold."""
        row, held = moment.row, moment.position_quantity
        if held > 0:
            return (self._exit(moment, Side.SELL),) if row["exit_long"] else ()
        if held < 0:
            return (self._exit(moment, Side.BUY),) if row["exit_short"] else ()
        return (self._entry(moment),) if row["setup"] else ()

    def refused(self, rows: NDArray[Any], candidates: NDArray[Any]) -> RefusedColumns | None:  # noqa: ARG002 - the port's shape
        """Return None: what the strategy refuses itself is a proposal without an order."""
        return None

    def usual_bracket(self, instrument: Instrument) -> Bracket | None:  # noqa: ARG002 - the port's shape
        """Return None: stop and target lie at levels."""
        return None

    def _entry(self, moment: Moment) -> Proposal:
        row = moment.row
        side = Side.BUY if row["setup"] > 0 else Side.SELL
        level = "support" if side is Side.BUY else "resistance"
        name = "BUY" if side is Side.BUY else "SHORT"
        price, edge = int(row["close"]), int(row[level])
        stop_ticks = side.sign * (price - int(row["stop"]))
        target_ticks = side.sign * (int(row["target"]) - price) if row["has_target"] else 0
        config = self.config
        checks = (
            Check("capitulation", float(row["volume_rank"]), config.volume.capitulation_rank, "rank", True),
            Check(
                "held",
                float(side.sign * (price - edge)),
                0.0,
                "ticks",
                bool(row["is_held"]),
                f"the close against the edge of the {level} at {edge}",
            ),
            Check(
                "gap",
                float(row["gap_s"]),
                float(config.gap.alert_s),
                "s",
                bool(row["gap_s"] < config.gap.alert_s),
                "bars before this one are missing",
            ),
            *self._session_check(moment),
            Check("stop", float(stop_ticks), 1.0, "ticks", stop_ticks >= 1, "the close lies beyond the stop already"),
            Check("target", float(target_ticks), 1.0, "ticks", target_ticks >= 1, "no opposite level as strong as this one"),
        )
        intent = None
        if all(check.passed for check in checks):
            intent = OrderIntent(
                symbol=moment.symbol,
                side=side,
                time_in_force=TimeInForce.GTC if self._outlasts(moment.session) else TimeInForce.DAY,
                bracket=Bracket(stop_ticks=stop_ticks, target_ticks=target_ticks),
                reason=f"capitulation at {level} {edge}",
            )
        return _proposal(moment, name, side, level, checks, intent, float(row["conviction"]))

    def _outlasts(self, session: Session) -> bool:
        # A daily bar is known at the close, and meets the next session's open; where there is no close, any bar does.
        return self.config.bar_seconds >= _DAY_S or session.close_ns - session.open_ns >= NS_PER_DAY

    def _session_check(self, moment: Moment) -> tuple[Check, ...]:
        session = moment.session
        if self._outlasts(session):
            return ()
        end = session.regular_close_ns if self.config.hours == "regular" else session.close_ns
        left_s = (end - int(moment.row["known_at"])) / NS_PER_SECOND
        why = "the day's last bar is known when the day is over, and an order would meet no market"
        return (Check("session", left_s, 0.0, "s", left_s > 0.0, why),)

    def _exit(self, moment: Moment, side: Side) -> Proposal:
        from sovereign.kernels.capitulation import joint_conviction

        row = moment.row
        level = "resistance" if side is Side.SELL else "support"
        # The bar's own conviction is that of the level which an entry would be at; this may be the other one.
        conviction = float(joint_conviction(row[f"{level}_strength"], row["volume_rank"]))
        checks = (Check("elevated", float(row["volume_rank"]), self.config.volume.elevated_rank, "rank", True),)
        intent = OrderIntent(
            symbol=moment.symbol,
            side=side,
            time_in_force=TimeInForce.GTC,  # the last bar of a day is known when the day is over
            role=OrderRole.EXIT,
            reduce_only=True,
            reason=f"{'rejected at resistance' if side is Side.SELL else 'bounced off support'} {int(row[level])}",
        )
        return _proposal(moment, "SELL" if side is Side.SELL else "COVER", side, level, checks, intent, conviction)


def _proposal(
    moment: Moment,
    name: str,
    side: Side,
    level: str,
    checks: tuple[Check, ...],
    intent: OrderIntent | None,
    conviction: float,
) -> Proposal:
    row: np.void = moment.row
    return Proposal(
        name=name,
        symbol=moment.symbol,
        side=side,
        strength=float(row[f"{level}_strength"]),
        confidence=conviction / 100.0,
        inputs={
            "signal": name,
            "level": level,
            "level_price": int(row[level]),
            "level_score": int(row[f"{level}_score"]),
            "level_strength": float(row[f"{level}_strength"]),
            **{field: row[field].item() for field in ROW_INPUTS},
            "conviction": conviction,
        },
        checks=checks,
        intent=intent,
    )
