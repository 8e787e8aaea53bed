"""The council: agents vote, a rule combines them, memory adjusts, and a position lives by stop, target and time.

Every bar on which the rule finds a direction leaves a decision record with all votes, what memory recalled, and the decision
as it would have been without memory. While a symbol is held nothing is proposed for it but its end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from sovereign.core.decision import Check, Proposal, RefusedColumns
from sovereign.core.episode import Episode, EpisodeBook
from sovereign.core.instrument import Instrument
from sovereign.core.order import Bracket, OrderIntent, OrderRole, Side, TimeInForce
from sovereign.core.port import Moment, SignalStream
from sovereign.core.position import Trade
from sovereign.core.session import NS_PER_DAY, NS_PER_SECOND, Session
from sovereign.kernels.market_row import MarketRegime
from sovereign.strategies.combiner import AgentView, Combined, new_combiner
from sovereign.strategies.council.agent import AGENTS, Reading, is_called
from sovereign.strategies.council.configuration import FULL_SIZE_FRAC, CouncilConfig, PositionConfig
from sovereign.strategies.council.memory import Memory, Recall

_DAY_S = NS_PER_DAY // NS_PER_SECOND

ROW_INPUTS = (
    "close",
    "volume",
    "volatility",
    "volatility_percentile",
    "efficiency",
    "width_percentile",
    "atr",
    "momentum",
    "regime_confidence",
    "vwap",
    "p_markup",
    "p_markdown",
)
"""Fields of the bar that a decision records where they are known."""

FEATURES = (
    "volatility_percentile",
    "efficiency",
    "width_percentile",
    "momentum",
    "volume_ratio",
    "prior_trend",
    "volume_balance",
    "volatility_z",
    "amihud_percentile",
    "impact_percentile",
)
"""Fields of the bar that make an episode's state, with the distances to `PLACES` in ATRs after them."""

PLACES = ("vwap", "magnet")
"""Prices of the bar whose distance from the close, in ATRs, belongs to the state."""


@dataclass(slots=True)
class _Holding:
    """What is known of one symbol: bars held by trade date, and the entry that led to it, or may still do so."""

    bars: dict[str, int] = field(default_factory=dict)
    entry: Episode | None = None


@dataclass(frozen=True, slots=True)
class _Size:
    """A position: fraction of the balance, stop distance as a fraction of the price."""

    size_frac: float
    stop_frac: float


class CouncilStrategy:
    """Votes of agents with a memory; see `core.port.Strategy`. It learns of its closed trades through `on_trade`."""

    name = "council"
    gate_names = ("passed",)
    is_stateless = False
    market = "portfolio"
    parts = (*AGENTS, "memory", "regime_gating")
    """What `strategies.council.without` can leave out."""
    rivals: Mapping[str, Sequence[str]] = MappingProxyType({"combiner.rule": ("consensus", "conflict")})
    """Settings that stand for each other, for those who compare."""

    def __init__(self, config: CouncilConfig) -> None:
        self.config = config
        self._combiner = new_combiner(config.combiner)
        self._agents = {name: agent for name, agent in AGENTS.items() if name not in config.without}
        self._is_gated = "regime_gating" not in config.without
        self._has_memory = "memory" not in config.without
        self.memory = Memory(config.memory, AGENTS, len(FEATURES) + len(PLACES))
        self._book: EpisodeBook | None = None
        self._holdings: dict[str, _Holding] = {}
        self._session: Session | None = None

    @property
    def warm_up_sessions(self) -> int:
        """Sessions until the hidden model can be fitted, ranks be given and turns be found, whichever is last."""
        regime, turn = self.config.regime, self.config.turn
        windows = regime.window_bars + regime.prior_bars
        bars = max(windows + max(regime.hidden.min_fit_bars, regime.min_history_bars), turn.range_bars + turn.trend_bars)
        return -(-bars // regime.bars_per_session(self.config.bar_seconds))

    def use_book(self, book: EpisodeBook) -> None:
        """Keep episodes in `book` from now on; at the begin of each session those closed before it are remembered."""
        self._book = book

    def signal_stream(self, instrument: Instrument) -> SignalStream:
        """Create the regime, turn, liquidity and mood rows of one instrument."""
        from sovereign.signals.council import CouncilStream

        config = self.config
        return CouncilStream(instrument, config.bar_seconds, config.regime, config.turn, config.profile)

    def start_session(self, session: Session, instrument: Instrument) -> None:  # noqa: ARG002 - the port's shape
        """Remember what earlier sessions have left, once a session."""
        if session is self._session:
            return
        self._session = session
        if self._book is None:
            return
        today = session.trade_date.isoformat()
        carried: dict[str, Episode] = {}
        for held in sorted(self._book.open_at(self.name, session.open_ns), key=lambda episode: episode.opened_ns):
            if held.symbol in carried:
                # A symbol has one position: what was open before the latest entry ended without our hearing of it.
                self._keep(ended(carried[held.symbol], session.open_ns))
            carried[held.symbol] = held
        for symbol, held in carried.items():
            if symbol not in self._holdings:
                before = {day: bars for day, bars in held.held_bars if day < today}
                self._holdings[symbol] = _Holding(before, reopened(held))
        if not self._has_memory:
            return
        # Only what was closed before the session: run again after a crash, it must know what it knew the first time.
        for episode in self._book.closed_before(self.name, session.open_ns, self.config.memory.max_episodes):
            self.memory.add(episode)

    def decide(self, moment: Moment) -> Sequence[Proposal]:
        """Return the bar's candidate, or the end of a position whose time is up."""
        holding = self._holdings.setdefault(moment.symbol, _Holding())
        if moment.position_quantity:
            return self._hold(moment, holding)
        if not moment.is_entering:
            self._give_up(holding, moment.ts)
        holding.bars.clear()
        row = Reading._make(moment.row.item())
        views = self.views(row)
        combined = self._combiner.combine(views)
        if not combined.direction:
            return ()
        return (self._enter(moment, row, views, combined, holding),)

    def on_trade(self, trade: Trade) -> None:
        """Reflect on a closed trade: the episode of its entry gets its end, and is remembered."""
        holding = self._holdings.setdefault(trade.instrument.symbol, _Holding())
        entry, held = holding.entry, tuple(holding.bars.items())
        holding.bars, holding.entry = {}, None
        if entry is None:
            return
        entry = replace(entry, held_bars=held)
        if not entry.features or entry.side != trade.side.sign or entry.opened_ns > trade.entry_ns:
            self._keep(ended(entry, trade.exit_ns))  # not what we decided on: nothing is to be learned from it
            return
        episode = closed(entry, trade)
        if self._has_memory:
            self.memory.add(episode)
        self._keep(episode)

    def refused(self, rows: NDArray[Any], candidates: NDArray[Any]) -> RefusedColumns | None:  # noqa: ARG002 - the port's shape
        """Return None: what the council refuses itself is a proposal without an order."""
        return None

    def usual_bracket(self, instrument: Instrument) -> Bracket | None:  # noqa: ARG002 - the port's shape
        """Return None: stop and target are fractions of the price."""
        return None

    def views(self, row: Any) -> list[AgentView]:
        """Return the views of the agents that are called in, in their order; a row is a `council.agent.Reading`."""
        activation = self.config.activation
        return [
            agent(row, self.config)
            for name, agent in self._agents.items()
            if not self._is_gated or is_called(name, row, activation)
        ]

    def _keep(self, episode: Episode) -> None:
        if self._book is not None:
            self._book.keep(episode, self.config.memory.max_kept_episodes)

    def _give_up(self, holding: _Holding, ts: int) -> None:
        """End an entry of which no trade will come: it was not filled, or its position went by no fill of ours."""
        entry, holding.entry = holding.entry, None
        if entry is None:
            return
        if holding.bars:
            self._keep(ended(replace(entry, held_bars=tuple(holding.bars.items())), ts))
        elif self._book is not None:
            self._book.drop(entry)

    def _hold(self, moment: Moment, holding: _Holding) -> Sequence[Proposal]:
        sign = 1 if moment.position_quantity > 0 else -1
        if holding.entry is not None and holding.entry.side != sign:
            self._give_up(holding, moment.ts)
            holding.bars.clear()
        if holding.entry is None:
            holding.entry = self._found(moment, sign)
        today = moment.session.trade_date.isoformat()
        holding.bars[today] = holding.bars.get(today, 0) + 1
        limit, held_bars = self.config.position.max_bars, sum(holding.bars.values())
        if self._book is not None and held_bars <= limit:
            # Kept bar by bar, and by session: who starts anew tomorrow, or this session again, counts on from there.
            self._keep(replace(holding.entry, held_bars=tuple(holding.bars.items())))
        if held_bars < limit:
            return ()
        side = Side.SELL if sign > 0 else Side.BUY
        intent = OrderIntent(
            symbol=moment.symbol,
            side=side,
            time_in_force=self._time_in_force(),
            role=OrderRole.EXIT,
            reduce_only=True,
            reason=f"held for {held_bars} bars",
        )
        check = Check("time_stop", float(held_bars), float(limit), "bars", True)
        return (
            Proposal(
                name="time stop",
                symbol=moment.symbol,
                side=side,
                strength=1.0,
                confidence=1.0,
                inputs={"held_bars": held_bars},
                checks=(check,),
                intent=intent,
            ),
        )

    def _time_in_force(self) -> TimeInForce:
        # A daily bar is known at the close; its order meets the next session's open.
        return TimeInForce.GTC if self.config.bar_seconds >= _DAY_S else TimeInForce.DAY

    def _enter(self, moment: Moment, row: Any, views: Sequence[AgentView], combined: Combined, holding: _Holding) -> Proposal:
        config, side = self.config, Side.BUY if combined.direction > 0 else Side.SELL
        position = config.position
        plain = combined.confidence
        entry = self._episode(moment, row, views, side, plain)
        recall = self.memory.recall(entry) if self._has_memory else Recall()
        confidence = min(1.0, max(0.0, plain + recall.adjustment))
        others = moment.open_positions
        size = sized(confidence, row.volatility, others, combined.size_factor, position)
        alone = sized(plain, row.volatility, others, combined.size_factor, position)
        stop_ticks = 0 if math.isnan(size.stop_frac) else math.ceil(size.stop_frac * row.close)
        age = max(moment.ts - row.known_at, silence_before(moment)) / (config.bar_seconds * NS_PER_SECOND)
        checks = (
            *combined.checks,
            Check(
                "fresh",
                age,
                float(config.regime.stale_bars),
                "bars",
                age < config.regime.stale_bars,
                "age of the bar, or of what was missing before it in the regular hours",
            ),
            Check("measured", row.volatility, 0.0, "fraction a year", row.volatility >= 0.0, "volatility sets size and stop"),
            Check("confidence", confidence, position.min_confidence, "fraction", confidence >= position.min_confidence),
            Check("stop", float(stop_ticks), 1.0, "ticks", stop_ticks >= 1),
            Check(
                "memory",
                recall.probability,
                config.memory.veto_below,
                "fraction",
                not recall.is_veto,
                f"{recall.cases} cases like it, weighing {recall.weight:.2f}",
            ),
        )
        is_taken = all(check.passed for check in checks)
        would_be = all(check.passed for check in checks if check.name not in ("memory", "confidence"))
        intent = None
        if is_taken:
            self._give_up(holding, moment.ts)  # what fills from now on is taken for the latest entry
            holding.entry = replace(entry, confidence=confidence, size_frac=size.size_frac)
            # Kept at once: a daily order fills in the next session, which another process may trade.
            self._keep(holding.entry)
            intent = OrderIntent(
                symbol=moment.symbol,
                side=side,
                time_in_force=self._time_in_force(),
                bracket=Bracket(stop_ticks=stop_ticks, target_ticks=max(1, round(stop_ticks * position.reward_ratio))),
                size_multiplier=multiplier(size),
                reason=f"{combined.verdict}: {', '.join(combined.agreeing)}",
            )
        inputs: dict[str, float | int | str] = {
            "regime": entry.regime,
            "rule": combined.verdict,
            **{f"vote_{view.agent}": view.word for view in views},
            **{f"confidence_{view.agent}": view.confidence for view in views if view.vote is not None},
            **{name: value for name in ROW_INPUTS if not _is_unknown(value := getattr(row, name))},
            "size_frac": _known(size.size_frac),
            "stop_frac": _known(size.stop_frac),
            "memory_cases": recall.cases,
            "memory_weight": recall.weight,
            "memory_probability": recall.probability,
            "memory_adjustment": recall.adjustment,
            **({"memory_ignored": self.memory.ignored} if self.memory.ignored else {}),
            "without_memory_confidence": plain,
            "without_memory_size_frac": _known(alone.size_frac),
            "without_memory_taken": int(would_be and plain >= position.min_confidence),
        }
        return Proposal(
            name=combined.verdict,
            symbol=moment.symbol,
            side=side,
            strength=min(1.0, len(combined.agreeing) / max(1, len(AGENTS))),
            confidence=confidence,
            inputs=inputs,
            checks=checks,
            intent=intent,
        )

    def _found(self, moment: Moment, sign: int) -> Episode:
        """Return the episode of a position that no entry of ours led to: its bars count, and nothing is learned from it."""
        return Episode(
            episode_id=f"{self.name}-{moment.symbol}-{moment.ts}",
            strategy=self.name,
            symbol=moment.symbol,
            opened_ns=moment.ts,
            side=sign,
            regime="UNKNOWN",
            features=(),
            views=(),
            confidence=0.0,
            size_frac=0.0,
        )

    def _episode(self, moment: Moment, row: Any, views: Sequence[AgentView], side: Side, confidence: float) -> Episode:
        features = [float(getattr(row, name)) for name in FEATURES]
        features += [(getattr(row, name) - row.close) / row.atr if row.atr > 0.0 else math.nan for name in PLACES]
        return Episode(
            episode_id=f"{self.name}-{moment.symbol}-{moment.ts}",
            strategy=self.name,
            symbol=moment.symbol,
            opened_ns=moment.ts,
            side=side.sign,
            regime=MarketRegime(row.regime).name,
            features=tuple(features),
            views=tuple((view.agent, view.vote, view.confidence) for view in views),
            confidence=confidence,
            size_frac=0.0,
        )


def silence_before(moment: Moment) -> int:
    """Return for how long before its bar no bar was open, within the regular hours of the session (ns).

    The first bar of a session is measured from the regular open on.
    """
    session, index = moment.session, moment.index
    began = int(moment.rows["open_ns"][index])
    before = int(moment.rows["known_at"][index - 1]) if index else session.regular_open_ns
    return max(0, began - before)


def _is_unknown(value: float) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _known(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def sized(confidence: float, volatility: float, others: int, size_factor: float, config: PositionConfig) -> _Size:
    """Return the position for a confidence, a volatility (fraction a year; NaN gives NaN) and `others` open positions.

    size = confidence x largest x clip(target volatility / volatility) x room, in the limits; the stop widens when unsure and
    with volatility, up to its own limit. Source: definitions 4.3.
    """
    if math.isnan(volatility):
        return _Size(math.nan, math.nan)
    calm = config.target_volatility / max(volatility, config.min_volatility)
    calm = min(config.max_volatility_factor, max(config.min_volatility_factor, calm))
    room = max(config.min_crowding_factor, 1.0 - config.crowding_step * others)
    size = confidence * config.max_size_frac * calm * room
    size = min(config.max_size_frac, max(config.min_size_frac, size)) * size_factor
    stop = config.stop_frac
    if confidence < config.unsure_below:
        stop *= config.unsure_factor
    if volatility > config.restless_above:
        stop *= volatility / config.target_volatility
    return _Size(size, min(config.max_stop_frac, stop))


def multiplier(size: _Size) -> float:
    """Return the fraction of the door's size, of which 1 is `FULL_SIZE_FRAC` of equity; see `council.DEFAULTS`."""
    return min(1.0, max(1e-6, round(size.size_frac / FULL_SIZE_FRAC, 6)))


def reopened(episode: Episode) -> Episode:
    """Return an episode as it was while open: a session run again finds the end that it wrote the first time."""
    return replace(episode, closed_ns=None, outcome=None, return_frac=None, exit_reason="", held_ns=0, lesson="")


def ended(entry: Episode, ts: int) -> Episode:
    """Return an episode that is over at `ts` (UTC ns) without a trade to tell how: neither won nor lost."""
    end = max(ts, entry.opened_ns)
    return replace(reopened(entry), closed_ns=end, exit_reason="UNKNOWN", held_ns=end - entry.opened_ns)


def closed(entry: Episode, trade: Trade) -> Episode:
    """Return an episode with its end: won or lost after costs, how, after how long, and what it was in a sentence."""
    move = trade.side.sign * (trade.exit_ticks - trade.entry_ticks) / trade.entry_ticks
    outcome = 1.0 if trade.net > 0 else 0.0 if trade.net < 0 else 0.5
    word = {1.0: "won", 0.0: "lost", 0.5: "came out even"}[outcome]
    agreed = [agent for agent, vote, _ in entry.views if vote == entry.side]
    return replace(
        entry,
        closed_ns=trade.exit_ns,
        outcome=outcome,
        return_frac=move,
        exit_reason=trade.exit_role.value,
        held_ns=trade.exit_ns - trade.entry_ns,
        lesson=f"{trade.side} in {entry.regime} with {', '.join(agreed)} {word} {move:+.2%} by {trade.exit_role.value}",
    )
