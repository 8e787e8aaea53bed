"""A run from beginning to end: ledger, backtest, evidence, report. What `sovereign backtest`, `replay` and `demo` share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import cache, partial
from pathlib import Path
from typing import Any

import sovereign
from sovereign.core.event import RowsClosed
from sovereign.core.instrument import Instrument
from sovereign.core.port import Feed, SessionCalendar, Sink, Strategy
from sovereign.core.session import Session
from sovereign.feeds.synthetic import PortfolioMarketConfig, SyntheticConfig, SyntheticMarket
from sovereign.research.ablation import VariantResult, compare_variants, variants_of
from sovereign.research.assumption import assumption_check, softened
from sovereign.research.backtest import Outcome, Passage, Recipe, charged_instrument, run_backtest
from sovereign.research.card import EvidenceCheck
from sovereign.research.configuration import EvidenceConfig, MetricsConfig
from sovereign.research.evidence import (
    TEST_START,
    FutureResult,
    NullResult,
    day_sessions,
    future_test,
    null_test,
    strategy_checks,
)
from sovereign.research.evidence_card import build_card
from sovereign.research.metrics import compute_metrics, daily_sharpe
from sovereign.research.portfolio import null_symbols, portfolio_future_test, portfolio_null_test
from sovereign.research.reliability import ForecastCollector
from sovereign.research.report import ReportPaths, summarize, write_report
from sovereign.research.result import RunResult
from sovereign.store.bulk import CheckColumn, DecisionColumns
from sovereign.store.runs import RunRecord, digest, make_run_id
from sovereign.store.store import Store
from sovereign.strategies import load_strategy, market_of

_SESSIONS_A_WRITE = 16

OnStep = Callable[[str, int], Callable[[], Any]]


def ignore_step(_what: str, _sessions: int) -> Callable[[], Any]:
    """Show nobody what a run does when it has traded."""
    return bool


@cache
def code_hash() -> str:
    """Return the SHA-256 of the package's source files."""
    root = Path(sovereign.__file__).parent
    total = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        total.update(path.relative_to(root).as_posix().encode())
        total.update(path.read_bytes())
    return total.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a recorded run needs besides the store.

    Parameters
    ----------
    kind : `backtest`, `replay` or `demo`.
    settings : the whole configuration as JSON-ready values, kept with the run.
    data_hash : digest of the market data, so that trials on the same data are counted together.
    calendar, instruments : market of the run, benchmarks first; also used for the null and the look-ahead test.
    symbols : what is traded. portfolio_market : the driftless market of a strategy that trades several symbols.
    is_tested : make the null and the look-ahead test; without them the card says "not run".
    is_ablated : run the strategy without each of its parts as well, for the report.
    warm_up : earlier sessions that signals see first and nobody trades; `data_hash` must tell of them.
    feed_notes : asked after the run, what the feed has to say about its data: what it left out, and why.
    account : whose money it is, where the run is one that others watch and command; None: nobody's.
    """

    kind: str
    recipe: Recipe
    feed: Feed
    instruments: tuple[Instrument, ...]
    calendar: SessionCalendar
    symbols: tuple[str, ...]
    start: date
    end: date
    settings: Mapping[str, Any]
    data_hash: str
    seed: int | None
    evidence: EvidenceConfig
    metrics: MetricsConfig
    portfolio_market: PortfolioMarketConfig = field(default_factory=PortfolioMarketConfig)
    is_tested: bool = True
    is_ablated: bool = False
    warm_up: Feed | None = None
    feed_notes: Callable[[], Sequence[str]] = tuple
    account: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A finished run: its result, and where its files are."""

    result: RunResult
    outcome: Outcome
    paths: ReportPaths


def refused_columns(strategy: Strategy, event: RowsClosed) -> Iterator[DecisionColumns]:
    """Yield, as the store keeps them, the candidates of a session that the strategy's own gates refused."""
    columns = strategy.refused(event.rows, event.candidates)
    if columns is None or not len(columns):
        return
    yield DecisionColumns(
        symbol=event.symbol,
        prefix=f"{strategy.name}-{event.trade_date:%Y%m%d}-{event.symbol}-C",
        index=columns.index,
        ts=columns.ts,
        name=columns.name,
        names=columns.names,
        side=columns.side,
        strength=columns.strength,
        confidence=columns.confidence,
        checks=[CheckColumn(c.name, c.value, c.limit, c.unit, c.reason) for c in columns.checks],
        failed=columns.failed,
        inputs=columns.inputs,
    )


class Recording:
    """A run that is being kept: begin it, run the feed through `execute` or by hand, then `finish`."""

    def __init__(self, plan: Plan, store: Store, now_ns: Callable[[], int]) -> None:
        self.plan = plan
        self._store = store
        self._now_ns = now_ns
        self.started_ns = now_ns()
        strategy = load_strategy(plan.recipe.strategy, plan.recipe.strategy_config)
        # One bracket stands for all refused candidates; where the symbols have different ones, none is assumed.
        usual = {strategy.usual_bracket(instrument) for instrument in plan.instruments}
        bracket = usual.pop() if len(usual) == 1 else None
        config_hash = digest(plan.settings)
        self.record = RunRecord(
            id=make_run_id(plan.recipe.strategy, self.started_ns, config_hash),
            kind=plan.kind,
            strategy=plan.recipe.strategy,
            symbols=plan.symbols,
            start=plan.start,
            end=plan.end,
            zone=_zone(plan),
            config=plan.settings,
            config_hash=config_hash,
            code_hash=code_hash(),
            data_hash=plan.data_hash,
            seed=plan.seed,
            fill_model=plan.recipe.execution.fill_model.value,
            is_simulated=plan.feed.is_simulated,
            starting_balance=plan.recipe.starting_balance,
            started_ns=self.started_ns,
            instruments=plan.instruments,
            stop_ticks=None if bracket is None else bracket.stop_ticks,
            target_ticks=None if bracket is None else bracket.target_ticks,
            account=plan.account,
        )
        self.run_id = store.begin_run(self.record)
        # A backtest is fast and can be run again: some sessions share a transaction. What is watched is written as it goes.
        together = _SESSIONS_A_WRITE if plan.kind == "backtest" else 1
        self.forecasts = ForecastCollector(strategy)
        self.sink = store.sink(self.run_id, partial(refused_columns, strategy), sessions_a_write=together)

    def abandon(self, reason: str) -> None:
        """Mark the run as failed; what was written stays."""
        self.sink.close()
        self._store.finish_run(self.run_id, finished_ns=self._now_ns(), summary={"error": reason}, status="failed")

    def finish(
        self,
        outcome: Outcome,
        folder: Path,
        further: Sequence[EvidenceCheck] = (),
        ablation: Sequence[VariantResult] = (),
    ) -> Finished:
        """Close the ledger entry, make the evidence card, write the report."""
        plan = self.plan
        self.sink.close()
        finished_ns = self._now_ns()
        trials = self._store.trials(plan.recipe.strategy, plan.data_hash)
        result = RunResult(
            run_id=self.run_id,
            strategy=plan.recipe.strategy,
            symbols=plan.symbols,
            start=plan.start,
            end=plan.end,
            is_simulated=plan.feed.is_simulated,
            settings=plan.settings,
            config_hash=self.record.config_hash,
            code_hash=self.record.code_hash,
            data_hash=plan.data_hash,
            seed=plan.seed,
            fill_model=self.record.fill_model,
            starting_balance=plan.recipe.starting_balance,
            zone=self.record.zone,
            tables=outcome.tables,
            lanes=outcome.lanes,
            trials=max(1, trials.distinct),
            trial_sharpes=trials.sharpes,
            trial_returns=trials.returns,
            assumptions=_assumptions(plan, outcome),
            wall_seconds=(finished_ns - self.started_ns) / 1e9,
            reliability=self.forecasts.tables(outcome.tables, plan.metrics),
            ablation=tuple(ablation),
        )
        metrics = compute_metrics(result, plan.metrics)
        execution = plan.recipe.execution
        soft = softened(plan.evidence, plan.metrics, execution, [*plan.instruments, *outcome.instruments])
        assumed = assumption_check(soft, is_simulated=plan.feed.is_simulated)
        result = result.with_evidence(build_card(result, (*further, assumed), plan.evidence, metrics))
        paths = write_report(result, folder / self.run_id, metrics)
        self._store.finish_run(
            self.run_id,
            finished_ns=self._now_ns(),
            summary=summarize(result, metrics),
            daily_sharpe=daily_sharpe(result),
            verdict=result.evidence.verdict.value if result.evidence else None,
            report_path=str(paths.html),
        )
        return Finished(result=result, outcome=outcome, paths=paths)


def run_recorded(
    plan: Plan,
    store: Store,
    folder: Path,
    now_ns: Callable[[], int],
    *,
    sinks: Sequence[Sink] = (),
    on_session: Callable[[Session], Any] | None = None,
    on_block: Callable[[Passage], Any] | None = None,
    on_start: Callable[[str], Any] | None = None,
    on_step: OnStep = ignore_step,
) -> Finished:
    """Run a plan from ledger to report; a run that fails or is interrupted stays in the ledger as failed.

    Parameters
    ----------
    sinks, on_session, on_block : see `run_backtest`.
    on_start : told the run's id before anything is traded.
    on_step : told what comes after the run itself and in how many sessions; returns what is called after each of them.
    """
    recording = Recording(plan, store, now_ns)
    try:
        if on_start is not None:
            on_start(recording.run_id)
        outcome = run_backtest(
            plan.recipe,
            plan.feed,
            sinks=(recording.sink, recording.forecasts, *sinks),
            on_session=on_session,
            on_block=on_block,
            warm_up=plan.warm_up,
        )
        further = strategy_tests(plan, store, now_ns, on_step) if plan.is_tested else ()
        ablation = _ablation(plan, on_step) if plan.is_ablated else ()
        return recording.finish(outcome, folder, further, ablation)
    except KeyboardInterrupt:
        recording.abandon("interrupted")
        raise
    except BaseException as error:
        recording.abandon(f"{type(error).__name__}: {error}")
        raise


def _ablation(plan: Plan, on_step: OnStep) -> Sequence[VariantResult]:
    recipe = plan.recipe
    variants = variants_of(recipe.strategy, recipe.strategy_config)
    is_apart = bool(getattr(load_strategy(recipe.strategy, recipe.strategy_config), "parts_change_signals", False))
    sessions = sum(1 for _ in plan.feed.sessions()) * (len(variants) if is_apart else 1)
    advance = on_step(f"{recipe.strategy} in {len(variants)} variants", sessions)
    return compare_variants(recipe, plan.feed, variants, plan.metrics, on_session=lambda _: advance(), warm_up=plan.warm_up)


def strategy_tests(
    plan: Plan, store: Store, now_ns: Callable[[], int], on_step: OnStep = ignore_step
) -> tuple[EvidenceCheck, ...]:
    """Make the null and the look-ahead test of a plan's strategy on the synthetic market; see `run_recorded` for `on_step`.

    They depend on code, settings and seed alone, so a result in the store that was made from the same is used again.
    """
    key = _test_key(plan)
    if (kept := store.kept_test(key)) is not None:
        null, future = NullResult(**kept["null"]), FutureResult(**kept["future"])
        return tuple(strategy_checks(null, future, plan.evidence.null_min_trades))
    tests = portfolio_tests if market_of(plan.recipe.strategy) == "portfolio" else _futures_tests
    null, future = tests(plan, on_step)
    store.keep_test(key, now_ns(), {"null": asdict(null), "future": asdict(future)})
    return tuple(strategy_checks(null, future, plan.evidence.null_min_trades))


def _futures_tests(plan: Plan, on_step: OnStep) -> tuple[NullResult, FutureResult]:
    config, instrument = plan.evidence, plan.instruments[0]
    session = next(day_sessions(plan.calendar, TEST_START))
    advance = on_step("null test, driftless sessions", config.null_sessions)
    null = null_test(
        plan.recipe,
        instrument,
        plan.calendar,
        sessions=config.null_sessions,
        ticks=config.null_ticks,
        seed=config.null_seed,
        start=TEST_START,
        max_t=config.null_max_t,
        on_session=lambda _: advance(),
    )
    market = SyntheticMarket(SyntheticConfig(ticks_per_session=config.future_ticks), config.null_seed)
    trades = market.session_trades(instrument, session)
    return null, future_test(plan.recipe, instrument, session, trades, cuts=config.future_cuts, seed=config.null_seed)


def portfolio_tests(plan: Plan, on_step: OnStep = ignore_step) -> tuple[NullResult, FutureResult]:
    """Make the null and the look-ahead test on the driftless market of several symbols; see `run_recorded` for `on_step`."""
    config = plan.evidence
    symbols = null_symbols(plan.recipe, config.null_symbols)
    market = plan.portfolio_market
    tick = on_step("null test, driftless sessions", config.null_sessions)
    null = portfolio_null_test(plan.recipe, plan.calendar, symbols, config, market, on_session=lambda _: tick())
    tick = on_step("look-ahead test, sessions", config.future_sessions * (config.future_cuts + 1))
    future = portfolio_future_test(plan.recipe, plan.calendar, symbols, config, market, on_session=lambda _: tick())
    return null, future


def _test_key(plan: Plan) -> str:
    recipe = plan.recipe
    parts = (recipe.strategy_config, recipe.risk, recipe.execution, plan.evidence)
    settings = [part.model_dump(mode="json") for part in parts]
    market: list[Any] = [plan.instruments[0].root]
    if market_of(recipe.strategy) == "portfolio":
        market = [plan.portfolio_market.model_dump(mode="json")]
    return digest([code_hash(), recipe.strategy, *market, str(recipe.starting_balance), settings])


def _zone(plan: Plan) -> str:
    for session in plan.calendar.sessions(plan.start, date.fromordinal(plan.start.toordinal() + 14)):
        return session.zone
    return "UTC"


def _charged(plan: Plan, outcome: Outcome) -> list[Instrument]:
    # What traded, which for a small account is not what the tape shows; before the first fill, what might have.
    traded = dict.fromkeys(fill.instrument.symbol for fill in outcome.tables.fills)
    symbols = traded or [instrument.symbol for instrument in outcome.instruments]
    return [charged_instrument(plan.recipe.execution, symbol) for symbol in symbols]


_FEW = 5
"""Dates that are named one by one."""


def _assumptions(plan: Plan, outcome: Outcome) -> tuple[str, ...]:
    execution = plan.recipe.execution
    lines = [
        f"Fills: {execution.fill_model.value} model; the bands show the other two.",
        f"Latency: {execution.latency_ms:g} ms from decision to venue, and for cancels. Bracket children rest at the venue.",
        "No order fills on the event that caused it; a gap through a stop fills at the gap.",
        "Fees: " + ", ".join(f"{i.symbol} {i.fee_per_side} a side and unit" for i in _charged(plan, outcome)) + ".",
    ]
    if plan.feed.is_simulated:
        lines.append("Market data is simulated: it says how the system behaves, and nothing about markets.")
    if plan.warm_up is not None:
        warm = [session.trade_date.isoformat() for session in plan.warm_up.sessions()]
        dates = ", ".join(warm) if len(warm) <= _FEW else f"{len(warm)} sessions from {warm[0]} to {warm[-1]}"
        lines.append(f"Indicators were warmed up on {dates}, which was not traded.")
    lines += plan.feed_notes()
    if outcome.open_positions:
        held = ", ".join(f"{quantity:+d} {symbol}" for symbol, quantity in outcome.open_positions.items())
        lines.append(
            f"The data ended with open positions ({held}); their floating profit is in the equity and in the daily figures, "
            f"not among the closed trades."
        )
    return tuple(lines)
