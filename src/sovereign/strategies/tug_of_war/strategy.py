"""The tug of war as a strategy: candidates on a grid of time, exits whenever something that matters has changed.

| Verdict | Institutions | Crowd | Order |
|---|---|---|---|
| strong conflict | sure | against them | full size |
| weak conflict | surer | no direction | 60% |
| crowded skip | sure | with them | none |
| no signal | unsure or undecided | any | none |

Stop and target rest at the venue from the fill on, and so come first. Then, in order: institutions have turned (signal flip),
the crowd has joined (crowded exit), the day ends (the platform's own timer), the market is in crisis. A refusal is a record
with its numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from sovereign.core.decision import Check, Proposal, RefusedColumns, make_check, make_proposal
from sovereign.core.episode import Episode, EpisodeBook
from sovereign.core.instrument import Instrument
from sovereign.core.news import NewsReading
from sovereign.core.order import Bracket, OrderIntent, OrderRole, OrderType, Side, TimeInForce, make_intent
from sovereign.core.port import Moment, SignalStream
from sovereign.core.position import Trade
from sovereign.core.session import NS_PER_DAY, NS_PER_SECOND, Session
from sovereign.core.tape import TapeSnapshot
from sovereign.feeds.earnings import EarningsAnswer
from sovereign.signals.calibration import Forecasts
from sovereign.signals.evidence import EvidenceBook
from sovereign.signals.tug_market import BenchmarkStream, Evidence, MarketBoard
from sovereign.signals.tug_of_war import TugShares, row_type
from sovereign.strategies.combiner import AgentView, Combined, ConflictRule
from sovereign.strategies.tug_of_war.agent import CROWD_UNKNOWN, MEASURE_FIELDS, CrowdAgent, InstitutionalAgent
from sovereign.strategies.tug_of_war.configuration import FULL_SIZE_FRAC, Part, TugOfWarConfig
from sovereign.strategies.tug_of_war.entry_checks import EntryChecks, crowd_check
from sovereign.strategies.tug_of_war.kelly import Edge, Kelly
from sovereign.strategies.tug_of_war.price import EntryPrice, Quote, Reference, quote_check, quote_of
from sovereign.strategies.tug_of_war.record import TradeRecord
from sovereign.strategies.tug_of_war.row import RowLayout, Seen
from sovereign.strategies.tug_of_war.screen import OWN_CHECKS, REGIMES, TREND, Screen

_DAY_S = NS_PER_DAY // NS_PER_SECOND


class TugOfWarStrategy:
    """Institutions against the crowd; see `core.port.Strategy`. It learns of its closed trades through `on_trade`."""

    name = "tug_of_war"
    gate_names = ("passed",)
    is_stateless = False
    market = "portfolio"
    parts: Sequence[Part] = get_args(Part)
    """What `strategies.tug_of_war.without` can leave out; without institutions nobody has a direction to trade."""
    parts_change_signals = True
    """Some of them are columns of the rows, so that variants cannot share them."""
    _shares: TugShares | None  # from the first one on

    def __init__(self, config: TugOfWarConfig) -> None:
        self.config = config
        self._without = frozenset(config.without)
        self._rule = ConflictRule(config.conflict)
        self._least = min(config.conflict.min_opposed, config.conflict.min_alone)
        self._institution = InstitutionalAgent(config.confidence)
        self._crowd = CrowdAgent(config.crowd)
        self._screen = Screen(config)
        self._price = EntryPrice(config.entry, has_tape="tape" not in self._without)
        self._has_limit = config.entry.order != "market" and config.bar_seconds < _DAY_S
        self.needs_quotes = self._has_limit and config.entry.fallback == "none"
        self._layout = RowLayout(row_type(), self._institution.field)
        self._begin(None)
        self._checks = EntryChecks(config)
        self._record = TradeRecord(self.name, config.position)

    @property
    def kelly(self) -> Kelly:
        """The returns of its own closed trades."""
        return self._record.kelly

    @property
    def warm_up_sessions(self) -> int:
        """Sessions until the market's hidden model can be fitted and the daily signals of a share are known."""
        reading = self.config.market.reading
        bars = reading.window_bars + reading.prior_bars + max(reading.hidden.min_fit_bars, reading.min_history_bars)
        fitted = -(-bars // reading.bars_per_session(self.config.market.bar_seconds))
        return max(fitted, self.config.institution.momentum.min_days, self.config.institution.alpha.min_days)

    @staticmethod
    def without_outside_data(config: TugOfWarConfig) -> TugOfWarConfig:
        """Return the settings for an invented market: it has no earnings calendar, and is too short for a daily regime."""
        without = tuple(dict.fromkeys((*config.without, "earnings")))
        market = config.market.model_copy(update={"bar_seconds": min(config.market.bar_seconds, 1_800)})
        return config.model_copy(update={"without": without, "market": market})

    def use_book(self, book: EpisodeBook) -> None:
        """Keep episodes in `book` from now on; at the begin of each session those closed before it are remembered."""
        self._record.book = book

    def use_evidence(self, evidence: Evidence) -> None:
        """Read the tape and the news from `evidence` from now on."""
        self.board.evidence = evidence

    def on_evidence(self, known_ns: int, snapshots: Sequence[TapeSnapshot], readings: Sequence[NewsReading]) -> None:
        """Take what scouts have seen (`core.port.EvidenceListener`); rows from `known_ns` on look at it."""
        book = self.board.evidence
        if not isinstance(book, EvidenceBook):
            book = self.board.evidence = EvidenceBook()
        book.take(known_ns, snapshots, readings)

    def read(self, row: Any) -> tuple[AgentView, AgentView, Combined]:
        """Return what institutions, crowd and the rule between them say of a bar, candidate or not; it changes nothing."""
        institution, crowd = self._institution.view(row), self._crowd.view(row)
        return institution, crowd, self._rule.combine((institution, crowd))

    def earnings(self, symbol: str, ts: int) -> EarningsAnswer:
        """Return what the earnings calendar says of a symbol at a time (UTC ns).

        Raises
        ------
        ConfigurationError, DataError : the calendar's file cannot be read.
        """
        return self._checks.report(symbol, ts)

    def signal_stream(self, instrument: Instrument) -> SignalStream:
        """Create the rows of one symbol; a benchmark's wake nobody."""
        config, symbol = self.config, instrument.symbol
        if symbol in self._seen:  # begun anew: nothing may be counted twice
            self._begin(self.board.evidence)
        self._seen.add(symbol)
        if symbol in config.benchmarks:
            return BenchmarkStream(instrument, config.bar_seconds, self.board, config.market)
        if self._shares is None:
            self._shares = self._new_shares()
        return self._shares.stream(instrument)

    def _begin(self, evidence: Evidence | None) -> None:
        self._seen: set[str] = set()
        self.board = MarketBoard(self.config.benchmarks, self.config.confidence.calibration)
        self.board.evidence = evidence
        self._shares = None

    def _new_shares(self) -> TugShares:
        config, confidence, conflict = self.config, self.config.confidence, self.config.conflict
        return TugShares(
            config.bar_seconds,
            self.board,
            config.institution,
            config.crowd,
            config.market,
            without=config.without,
            cycle_minutes=config.entry.cycle_minutes,
            flip_bars=config.exits.flip_bars,
            rank_rows=confidence.rank_rows,
            min_rank_rows=confidence.min_rank_rows,
            wake_from=min(conflict.min_opposed, conflict.min_alone),
            measure=confidence.measure,
        )

    def start_session(self, session: Session, instrument: Instrument) -> None:  # noqa: ARG002 - the port's shape
        """Remember what earlier sessions have left, once a session."""
        if session is not self._record.session:
            self._record.start_session(session)

    own_checks: Sequence[str] = OWN_CHECKS
    """What a candidate is refused for by itself, in order; see `core.port.ScreeningStrategy`."""

    def screen(self, symbols: Sequence[str], rows: NDArray[Any]) -> NDArray[np.int8]:
        """Return what comes of each row while nothing is held; see `core.port.ScreeningStrategy`."""
        if "institutions" in self._without:
            return np.full(len(rows), -1, np.int8)
        return self._screen.codes(symbols, rows, self._checks.earnings)

    def sides(self, rows: NDArray[Any]) -> NDArray[np.int8]:
        """Return the side of each row's candidate; see `core.port.ScreeningStrategy`."""
        direction: NDArray[np.int8] = rows["direction"].astype(np.int8)
        return direction

    def due_for_holders(self, rows: NDArray[Any]) -> NDArray[np.int8]:
        """Return where a holder has something to decide; see `core.port.ScreeningStrategy`."""
        return self._screen.due(rows)

    @property
    def terms(self) -> Edge:
        """What the strategy's own record says now: it sizes a candidate, and is told with it."""
        return self._record.kelly.edge

    def refusal(self, symbol: str, ts: int, values: tuple[Any, ...], terms: Edge, last_ticks: int | None) -> Proposal:
        """Return the record of a candidate that was refused; see `core.port.ScreeningStrategy`."""
        return self._enter(symbol, ts, values, Seen._make(self._layout.seen(values)), terms, last_ticks)

    def decide(self, moment: Moment) -> Sequence[Proposal]:
        """Return the bar's candidate, or the end of a position."""
        rows = moment.rows
        if rows.dtype is not self._layout.dtype:
            self._layout = RowLayout(rows.dtype, self._institution.field)
        if moment.position_quantity:
            return self._hold(moment, moment.row)
        record = self._record
        if record.entries and not moment.is_entering:
            record.give_up(moment.symbol)
        if "institutions" in self._without:
            return ()
        # All of a record at once: one by one its fields take longer than everything that is made of them.
        values: Any = rows.item(moment.index)
        seen = Seen._make(self._layout.seen(values))
        if not seen.cycle or not seen.direction or not seen.confidence >= self._least or math.isnan(seen.conviction):
            return ()
        edge, quote = record.kelly.edge, quote_of(moment)
        proposal = self._enter(moment.symbol, moment.ts, values, seen, edge, moment.last_ticks, quote)
        if proposal.intent is not None and record.book is not None:
            record.open(self._episode(moment, proposal, seen))
        return (proposal,)

    def on_trade(self, trade: Trade) -> None:
        """Take a closed trade into the record."""
        self._record.close(trade)

    def refused(self, rows: NDArray[Any], candidates: NDArray[Any]) -> RefusedColumns | None:  # noqa: ARG002 - the port's shape
        """Return None: what the strategy refuses itself is a proposal without an order."""
        return None

    @property
    def forecast_limits(self) -> Mapping[str, tuple[float, ...]]:
        """Where the rule begins to trade, by the measure of confidence that is held against it."""
        field = MEASURE_FIELDS[self.config.confidence.measure]
        return {field: (self.config.conflict.min_opposed, self.config.conflict.min_alone)}

    @property
    def forecast_sessions(self) -> int:
        """Sessions after which a forecast is judged; 0 at the close of its own."""
        return self.config.confidence.calibration.horizon_days if self.config.bar_seconds >= _DAY_S else 0

    def forecasts(self, session: Session, rows: NDArray[Any]) -> Forecasts | None:
        """Return what a session's rows forecast wherever a decision was due; None of rows that forecast nothing."""
        if "conviction" not in (rows.dtype.names or ()):
            return None
        inside = rows["close"][(rows["known_at"] > session.regular_open_ns) & (rows["known_at"] <= session.regular_close_ns)]
        if not len(inside):
            return None
        looked = rows[rows["cycle"]]
        looked = looked[np.abs(looked["conviction"]) > 0.0]
        return Forecasts(
            direction=np.sign(looked["conviction"]).astype(np.int8),
            price=looked["close"].astype(np.int64),
            last=int(inside[-1]),
            measures={field: looked[field].copy() for field in MEASURE_FIELDS.values()},
        )

    def usual_bracket(self, instrument: Instrument) -> Bracket | None:  # noqa: ARG002 - the port's shape
        """Return None: stop and target are fractions of the price."""
        return None

    # Exits

    def _hold(self, moment: Moment, row: np.void) -> Sequence[Proposal]:
        """Return the first exit that is due, in the documented order; stop, target and the day's end are not decided here."""
        sign = 1 if moment.position_quantity > 0 else -1
        streak, direction, crowd, is_halted = row["streak"], row["direction"], row["crowd"], row["is_halted"]
        flip_bars = self.config.exits.flip_bars
        against = streak if direction == -sign else 0
        if "flip_exit" not in self._without and against >= flip_bars:
            check = make_check("signal_flip", float(against), float(flip_bars), "bars", True, "institutions have turned")
            return (self._exit(moment, row, sign, "signal flip", check),)
        if "crowded_exit" not in self._without and crowd == sign:
            check = make_check("crowded", 1.0, 1.0, "flag", True, "the crowd has joined")
            return (self._exit(moment, row, sign, "crowded exit", check),)
        if is_halted:
            check = make_check("crisis", 1.0, 1.0, "flag", True, "the market is in crisis, or was and has not calmed down")
            return (self._exit(moment, row, sign, "crisis halt", check),)
        return ()

    def _exit(self, moment: Moment, row: np.void, sign: int, reason: str, check: Check) -> Proposal:
        values: Any = row.item()
        quote = quote_of(moment)
        side = Side.SELL if sign > 0 else Side.BUY
        intent = OrderIntent(
            symbol=moment.symbol,
            side=side,
            time_in_force=self._time_in_force(),
            role=OrderRole.EXIT,
            reduce_only=True,
            reason=reason,
        )
        return make_proposal(
            name=reason,
            symbol=moment.symbol,
            side=side,
            strength=1.0,
            confidence=1.0,
            inputs=self._layout.inputs(values) if quote is None else {**quote.inputs, **self._layout.inputs(values)},
            checks=(check,),
            intent=intent,
        )

    def _time_in_force(self) -> TimeInForce:
        # A daily bar is known at the close; its order meets the next session's open.
        return TimeInForce.GTC if self.config.bar_seconds >= _DAY_S else TimeInForce.DAY

    # Entries

    def _enter(
        self,
        symbol: str,
        ts: int,
        values: tuple[Any, ...],
        seen: Seen,
        edge: Edge,
        last_ticks: int | None,
        quote: Quote | None = None,
    ) -> Proposal:
        # Without a price there is no order in it.
        config, position, own = self.config, self.config.position, self._checks
        direction, confidence, regime = seen.direction, seen.confidence, seen.regime
        crowd = self._crowd.told(seen.crowd, seen.crowd_share) if seen.crowd_known else CROWD_UNKNOWN
        combined = self._rule.judge(direction, confidence, _INSTITUTIONS, crowd.vote or 0)
        side = Side.BUY if direction == 1 else Side.SELL
        is_trend = regime == TREND
        stop_frac = position.trend_stop_frac if is_trend else position.chop_stop_frac
        target_frac = position.trend_target_frac if is_trend else position.chop_target_frac
        fraction = 0.0 if "kelly" in self._without else edge.fraction
        size_frac = sized(fraction, stop_frac, combined.size_factor, config)
        close = seen.close
        stop_ticks, target_ticks = math.ceil(stop_frac * close), max(1, round(target_frac * close))
        checks = (
            *combined.checks,
            crowd_check(crowd),
            *own.market(seen, side),
            *own.veto(seen, side),
            own.earnings(symbol, ts),
            make_check("stop", float(stop_ticks), 1.0, "ticks", stop_ticks >= 1),
        )
        intent, priced = None, {}
        if last_ticks is not None and combined.direction and all(check.passed for check in checks):
            # Asked last: a refusal for anything else is told later, when the quote is not known any more.
            if self.needs_quotes:
                checks = (*checks, quote_check(quote))
            if checks[-1].passed:
                bracket = Bracket(stop_ticks=stop_ticks, target_ticks=target_ticks)
                reason = f"{combined.verdict}: {REGIMES[regime].lower()}"
                reference = self._price.reference(quote, last_ticks, symbol, ts, self.board.evidence)
                intent = self._order(symbol, reference, side, bracket, size_frac, reason)
                if quote is not None:
                    priced = {**(reference.inputs if self._has_limit else {}), **quote.inputs}
        inputs: dict[str, float | int | str] = {
            "regime": REGIMES[regime],
            "rule": combined.verdict,
            "vote_institutions": _SIDES[direction],
            "confidence_institutions": confidence,
            "vote_crowd": crowd.word,
            "confidence_crowd": crowd.confidence,
            "tug_score": abs(confidence - crowd.confidence),
            "is_absorption": seen.is_absorption,
            "size_frac": size_frac,
            "stop_frac": stop_frac,
            "stop_ticks": stop_ticks,
            "target_ticks": target_ticks,
            "kelly_trades": edge.trades,
            "kelly_win_rate": edge.win_rate,
            "kelly_odds": edge.odds,
            "kelly_fraction": fraction,
            **priced,
        }
        inputs.update(self._layout.inputs(values))
        return make_proposal(
            name=combined.verdict,
            symbol=symbol,
            side=side,
            strength=min(1.0, abs(seen.conviction)),
            confidence=confidence,
            inputs=inputs,
            checks=checks,
            intent=intent,
        )

    def _order(
        self, symbol: str, reference: Reference, side: Side, bracket: Bracket, size_frac: float, reason: str
    ) -> OrderIntent:
        multiplier = min(1.0, max(1e-6, round(size_frac / FULL_SIZE_FRAC, 6)))
        if not self._has_limit:
            return make_intent(
                symbol=symbol,
                side=side,
                time_in_force=self._time_in_force(),
                bracket=bracket,
                size_multiplier=multiplier,
                reason=reason,
            )
        # At the limit or better, never worse.
        return make_intent(
            symbol=symbol,
            side=side,
            order_type=OrderType.LIMIT,
            limit_ticks=self._price.limit(reference.ticks, side),
            time_in_force=TimeInForce.IOC,
            bracket=bracket,
            size_multiplier=multiplier,
            reason=reason,
        )

    def _episode(self, moment: Moment, proposal: Proposal, seen: Seen) -> Episode:
        crowd = self._crowd.told(seen.crowd, seen.crowd_share) if seen.crowd_known else CROWD_UNKNOWN
        return Episode(
            episode_id=f"{self.name}-{moment.symbol}-{moment.ts}",
            strategy=self.name,
            symbol=moment.symbol,
            opened_ns=moment.ts,
            side=proposal.side.sign,
            regime=REGIMES[seen.regime],
            features=(seen.raw_confidence, seen.rank, seen.probability),
            views=((*_INSTITUTIONS, seen.direction, seen.confidence), (crowd.agent, crowd.vote, crowd.confidence)),
            confidence=seen.confidence,
            size_frac=float(proposal.inputs["size_frac"]),
            lesson=proposal.name,
        )


_INSTITUTIONS = (InstitutionalAgent.name,)
_SIDES = {1: "long", -1: "short"}


def sized(fraction: float, stop_frac: float, size_factor: float, config: TugOfWarConfig) -> float:
    """Return the size of a position as a fraction of equity.

    The floor and what half of Kelly's fraction adds to it, at most the largest size; never more than loses `max_risk_frac` at
    the stop; times the factor of the verdict. Source: definitions 1.4.
    """
    position = config.position
    size = min(position.min_size_frac + position.kelly_scale * fraction, position.max_size_frac)
    return min(size, position.max_risk_frac / stop_frac) * size_factor
