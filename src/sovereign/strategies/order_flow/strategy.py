"""The order-flow strategy: what the router let through becomes proposals, at most one of which orders.

Rule for a bar with passed candidates on both sides: the strengths of each side are added; the larger sum trades, the smaller is
recorded as refused by the check `conflict`. Equal sums cancel out: nothing trades, both are recorded. On the winning side
the strongest candidate (then the lower pattern code) orders; the others confirm it and are recorded with the check `lead`.

Rows are read as plain tuples, once per moment: picking single fields out of structured arrays would cost more than deciding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray

from sovereign.core.decision import Check, Proposal, RefusedColumns
from sovereign.core.instrument import Instrument, contract_root
from sovereign.core.order import Bracket, OrderIntent, OrderType, Side, TimeInForce
from sovereign.core.port import Moment, SignalStream
from sovereign.core.session import NS_PER_SECOND, Session
from sovereign.kernels.row import Gate, Regime
from sovereign.strategies.order_flow.configuration import OrderFlowConfig
from sovereign.strategies.order_flow.gate import (
    PATTERN_WORDS,
    REGIME_WORDS,
    constant_checks,
    refused_columns,
    row_inputs,
    threshold_checks,
)

_TRENDS = (int(Regime.TRENDING_UP), int(Regime.TRENDING_DOWN))
_PASSED = int(Gate.PASSED)
_FIRST = Check("lead", 1.0, 1.0, "rank", True)


class Candidate(NamedTuple):
    """A record of `kernels.row.CANDIDATE` as plain Python values; the fields are those, in their order."""

    row: int
    pattern: int
    side: int
    gate: int
    regime: int
    price: int
    known_at: int
    strength: float
    confidence: float
    value: float
    size_multiplier: float


_ROW, _GATE = Candidate._fields.index("row"), Candidate._fields.index("gate")


class OrderFlowStrategy:
    """Trades footprint patterns that fit the regime. Remembers nothing of the market; see `core.port.Strategy`."""

    name = "order_flow"
    gate_names = tuple(gate.name.lower() for gate in Gate)
    is_stateless = True

    def __init__(self, config: OrderFlowConfig) -> None:
        self.config = config
        self._profiles: dict[str, tuple[Bracket, Check] | None] = {}

    def signal_stream(self, instrument: Instrument) -> SignalStream:
        """Create the footprint, pattern, regime and router rows of one instrument."""
        from sovereign.signals.order_flow import OrderFlowStream

        config = self.config
        return OrderFlowStream(instrument, config.footprint, config.pattern, config.regime, config.router)

    def start_session(self, session: Session, instrument: Instrument) -> None:
        """Prepare for a trade date: nothing to do, what is remembered lies in the rows."""

    def decide(self, moment: Moment) -> Sequence[Proposal]:
        """Return the row's passed candidates as proposals, the one that orders first."""
        index = moment.index
        passed = [
            Candidate._make(record)
            for record in moment.candidates.tolist()
            if record[_GATE] == _PASSED and record[_ROW] == index
        ]
        if not passed:
            return ()
        if len(passed) > 1:
            passed.sort(key=lambda candidate: (-candidate.strength, candidate.pattern))
        long = sum([candidate.strength for candidate in passed if candidate.side > 0])
        short = sum([candidate.strength for candidate in passed if candidate.side < 0])
        winner = 1 if long > short else -1 if short > long else 0
        agreeing = [candidate for candidate in passed if candidate.side == winner]
        inputs = row_inputs(moment.rows[index])
        bracket, distance = self._bracket(moment.symbol, float(inputs["atr"]))
        steps = self._size_steps(passed[0].regime, len(agreeing))
        proposals = []
        own, other = (long, short) if winner > 0 else (short, long)
        for rank, candidate in enumerate(agreeing, start=1):
            lead = _FIRST if rank == 1 else self._follow(rank)
            checks = (*self._checks(candidate, own, other), distance, lead)
            intent = self._intent(moment, candidate, bracket, steps) if bracket is not None and lead.passed else None
            proposals.append(_proposal(moment.symbol, candidate, inputs, checks, intent))
        for candidate in passed:
            if candidate.side != winner:
                own, other = (long, short) if candidate.side > 0 else (short, long)
                checks = (*self._checks(candidate, own, other), distance)
                proposals.append(_proposal(moment.symbol, candidate, inputs, checks, None))
        return proposals

    def refused(self, rows: NDArray[Any], candidates: NDArray[Any]) -> RefusedColumns:
        """Return the candidates that the router refused."""
        return refused_columns(rows, candidates, self.config.router)

    def usual_bracket(self, instrument: Instrument) -> Bracket | None:
        """Return the product's bracket; None where the distances follow the ATR."""
        profile = self._profile(instrument.symbol)
        return None if profile is None else profile[0]

    def _size_steps(self, regime: int, agreeing: int) -> int:
        size = self.config.size
        steps = size.confirmation_steps if agreeing >= size.confirming_signals else 0
        return steps + (size.trend_steps if regime in _TRENDS else 0)

    def _follow(self, rank: int) -> Check:
        may_order = not self.config.entry.is_one_order_per_bar
        return Check("lead", float(rank), 1.0, "rank", may_order, "" if may_order else "confirms the leading pattern")

    def _checks(self, candidate: Candidate, own: float, other: float) -> tuple[Check, ...]:
        return (
            *constant_checks(candidate.regime),
            *threshold_checks(candidate.strength, candidate.confidence, self.config.router),
            Check(
                "conflict", own, other, "summed strength", own > other, "the larger sum of a side trades; equal sums cancel out"
            ),
        )

    def _bracket(self, symbol: str, atr: float) -> tuple[Bracket | None, Check]:
        # The profile of the product, else distances from the ATR, which may be unknown.
        if symbol not in self._profiles:
            self._profiles[symbol] = self._profile(symbol)
        profile = self._profiles[symbol]
        if profile is not None:
            return profile
        if not atr > 0.0:
            return None, Check("bracket", atr, 0.0, "ticks", False, "the ATR that sets the stop is not known")
        config = self.config.bracket
        stop = max(config.min_stop_ticks, round(config.stop_atr * atr))
        target = max(1, round(stop * config.target_atr / config.stop_atr))
        return Bracket(stop_ticks=stop, target_ticks=target), Check("bracket", float(stop), 1.0, "ticks", True, "ATR")

    def _profile(self, symbol: str) -> tuple[Bracket, Check] | None:
        config = self.config.bracket
        root = contract_root(symbol) or symbol
        profile = config.profiles.get(root) if config.mode == "profile" else None
        if profile is None:
            return None
        bracket = Bracket(stop_ticks=profile.stop_ticks, target_ticks=profile.target_ticks)
        return bracket, Check("bracket", float(profile.stop_ticks), 1.0, "ticks", True, f"profile {root}")

    def _intent(self, moment: Moment, candidate: Candidate, bracket: Bracket, steps: int) -> OrderIntent:
        entry = self.config.entry
        side = Side.BUY if candidate.side > 0 else Side.SELL
        reason = f"{PATTERN_WORDS[candidate.pattern]} in {REGIME_WORDS[candidate.regime]}"
        if entry.order_type == "market":
            return OrderIntent(
                symbol=moment.symbol,
                side=side,
                bracket=bracket,
                size_steps=steps,
                size_multiplier=candidate.size_multiplier,
                reason=reason,
            )
        return OrderIntent(
            symbol=moment.symbol,
            side=side,
            order_type=OrderType.LIMIT,
            limit_ticks=moment.last_ticks - side.sign * entry.limit_offset_ticks,
            time_in_force=TimeInForce.GTD,
            expire_ns=moment.ts + entry.limit_life_s * NS_PER_SECOND,
            bracket=bracket,
            size_steps=steps,
            size_multiplier=candidate.size_multiplier,
            reason=reason,
        )


def _proposal(
    symbol: str, candidate: Candidate, row: Mapping[str, Any], checks: tuple[Check, ...], intent: OrderIntent | None
) -> Proposal:
    pattern = PATTERN_WORDS[candidate.pattern]
    return Proposal(
        name=pattern,
        symbol=symbol,
        side=Side.BUY if candidate.side > 0 else Side.SELL,
        strength=candidate.strength,
        confidence=candidate.confidence,
        inputs={
            "pattern": pattern,
            "regime": REGIME_WORDS[candidate.regime],
            "price": candidate.price,
            "value": candidate.value,
            "size_multiplier": candidate.size_multiplier,
            **row,
        },
        checks=checks,
        intent=intent,
    )
