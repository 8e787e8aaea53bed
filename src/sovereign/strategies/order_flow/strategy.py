"""The order-flow strategy: what the router let through becomes proposals, at most one of which orders.

Rule for a bar with passed candidates on both sides: the strengths of each side are added; the larger sum trades, the smaller is
recorded as refused by the check `conflict`. Equal sums cancel out: nothing trades, both are recorded. On the winning side
the strongest candidate (then the lower pattern code) orders; the others confirm it and are recorded with the check `lead`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sovereign.core.decision import Check, Proposal, RefusedColumns
from sovereign.core.instrument import Instrument, contract_root
from sovereign.core.order import Bracket, OrderIntent, OrderType, Side, TimeInForce
from sovereign.core.port import Moment, SignalStream
from sovereign.core.session import NS_PER_SECOND, Session
from sovereign.kernels.row import Gate, Regime
from sovereign.strategies.order_flow.configuration import OrderFlowConfig
from sovereign.strategies.order_flow.gate import PATTERN_WORDS, REGIME_WORDS, ROW_INPUTS, passed_checks, refused_columns

if TYPE_CHECKING:
    from collections.abc import Iterable

_TRENDS = (int(Regime.TRENDING_UP), int(Regime.TRENDING_DOWN))


class OrderFlowStrategy:
    """Trades footprint patterns that fit the regime. Keeps no state between moments; see `core.port.Strategy`."""

    name = "order_flow"
    gate_names = tuple(gate.name.lower() for gate in Gate)

    def __init__(self, config: OrderFlowConfig) -> None:
        self.config = config

    def signal_stream(self, instrument: Instrument) -> SignalStream:
        """Create the footprint, pattern, regime and router rows of one instrument."""
        from sovereign.signals.order_flow import OrderFlowStream

        config = self.config
        return OrderFlowStream(instrument, config.footprint, config.pattern, config.regime, config.router)

    def start_session(self, session: Session, instrument: Instrument) -> None:
        """Prepare for a trade date: nothing to do, what is remembered lies in the rows."""

    def decide(self, moment: Moment) -> Sequence[Proposal]:
        """Return the row's passed candidates as proposals, the one that orders first."""
        found = moment.candidates[(moment.candidates["row"] == moment.index) & (moment.candidates["gate"] == Gate.PASSED)]
        if not len(found):
            return ()
        order = sorted(range(len(found)), key=lambda n: (-float(found["strength"][n]), int(found["pattern"][n])))
        sums = {sign: sum(float(found["strength"][n]) for n in order if int(found["side"][n]) == sign) for sign in (1, -1)}
        winner = 1 if sums[1] > sums[-1] else -1 if sums[-1] > sums[1] else 0
        agreeing = [n for n in order if int(found["side"][n]) == winner]
        opposing = [n for n in order if int(found["side"][n]) != winner]
        steps = self._size_steps(moment.row, len(agreeing))
        proposals = [self._propose(moment, found[n], sums, rank, steps) for rank, n in enumerate(agreeing, start=1)]
        proposals += [self._propose(moment, found[n], sums, 0, 0) for n in opposing]
        return proposals

    def refused(self, rows: NDArray[Any], candidates: NDArray[Any]) -> RefusedColumns:
        """Return the candidates that the router refused."""
        return refused_columns(rows, candidates, self.config.router)

    def usual_bracket(self, instrument: Instrument) -> Bracket | None:
        """Return the product's bracket; None where the distances follow the ATR."""
        profile = self.config.bracket.profiles.get(instrument.root) if self.config.bracket.mode == "profile" else None
        return None if profile is None else Bracket(stop_ticks=profile.stop_ticks, target_ticks=profile.target_ticks)

    def _size_steps(self, row: np.void, agreeing: int) -> int:
        size = self.config.size
        steps = size.confirmation_steps if agreeing >= size.confirming_signals else 0
        return steps + (size.trend_steps if int(row["regime"]) in _TRENDS else 0)

    def _propose(self, moment: Moment, candidate: np.void, sums: dict[int, float], rank: int, steps: int) -> Proposal:
        sign = int(candidate["side"])
        side = Side.BUY if sign > 0 else Side.SELL
        pattern = PATTERN_WORDS[int(candidate["pattern"])]
        bracket, distance = self._bracket(moment)
        own, other = sums[sign], sums[-sign]
        checks = [
            *passed_checks(candidate, self.config.router),
            Check(
                "conflict", own, other, "summed strength", own > other, "the larger sum of a side trades; equal sums cancel out"
            ),
            distance,
        ]
        if rank:
            may_order = rank == 1 or not self.config.entry.is_one_order_per_bar
            checks.append(
                Check("lead", float(rank), 1.0, "rank", may_order, "" if may_order else "confirms the leading pattern")
            )
        intent = None
        if bracket is not None and all(check.passed for check in checks):
            intent = self._intent(moment, candidate, side, bracket, steps, pattern)
        return Proposal(
            name=pattern,
            symbol=moment.symbol,
            side=side,
            strength=float(candidate["strength"]),
            confidence=float(candidate["confidence"]),
            inputs=_inputs(moment.row, candidate, ROW_INPUTS),
            checks=tuple(checks),
            intent=intent,
        )

    def _bracket(self, moment: Moment) -> tuple[Bracket | None, Check]:
        # The profile of the product, else distances from the ATR, which may be unknown.
        config = self.config.bracket
        root = contract_root(moment.symbol) or moment.symbol
        profile = config.profiles.get(root) if config.mode == "profile" else None
        if profile is not None:
            bracket = Bracket(stop_ticks=profile.stop_ticks, target_ticks=profile.target_ticks)
            return bracket, Check("bracket", float(profile.stop_ticks), 1.0, "ticks", True, f"profile {root}")
        atr = float(moment.row["atr"])
        if not atr > 0.0:
            return None, Check("bracket", atr, 0.0, "ticks", False, "the ATR that sets the stop is not known")
        stop = max(config.min_stop_ticks, round(config.stop_atr * atr))
        target = max(1, round(stop * config.target_atr / config.stop_atr))
        return Bracket(stop_ticks=stop, target_ticks=target), Check("bracket", float(stop), 1.0, "ticks", True, "ATR")

    def _intent(
        self, moment: Moment, candidate: np.void, side: Side, bracket: Bracket, steps: int, pattern: str
    ) -> OrderIntent:
        entry = self.config.entry
        size_multiplier = float(candidate["size_multiplier"])
        reason = f"{pattern} in {REGIME_WORDS[int(candidate['regime'])]}"
        if entry.order_type == "market":
            return OrderIntent(
                symbol=moment.symbol,
                side=side,
                bracket=bracket,
                size_steps=steps,
                size_multiplier=size_multiplier,
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
            size_multiplier=size_multiplier,
            reason=reason,
        )


def _inputs(row: np.void, candidate: np.void, names: Iterable[str]) -> dict[str, float | int | str]:
    inputs: dict[str, float | int | str] = {
        "pattern": PATTERN_WORDS[int(candidate["pattern"])],
        "regime": REGIME_WORDS[int(candidate["regime"])],
        "price": int(candidate["price"]),
        "value": float(candidate["value"]),
        "size_multiplier": float(candidate["size_multiplier"]),
    }
    inputs.update((name, row[name].item()) for name in names)
    return inputs
