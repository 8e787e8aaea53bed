"""Using the run ledger: stressing a stored run, and laying two runs side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from sovereign.core.errors import UsageError
from sovereign.core.position import Trade
from sovereign.research.configuration import StressConfig
from sovereign.research.stress import Rerun, StressResult, stress_run
from sovereign.store.runs import RunRecord, StoredRun
from sovereign.store.store import Store


def stress_stored(
    store: Store,
    name: str,
    *,
    now_ns: int,
    config: StressConfig | None = None,
    rerun_of: Callable[[RunRecord], Rerun | None] | None = None,
) -> tuple[str, StoredRun, StressResult]:
    """Stress a run of the ledger and record that it was done; returns the name of the record, the run, and the result.

    The record of an earlier stress stands for the run it was made from. `rerun_of` gives what runs
    the engine again with extra slippage per side; without it, or when it gives None, the stored trades are charged.

    Raises
    ------
    UsageError : the run has not finished.
    """
    run = store.run(name)
    if run.record.kind == "stress" and run.record.parent_id is not None:
        run = store.run(run.record.parent_id)
    if run.status != "finished":
        raise UsageError(
            f"run was '{run.id}', which is '{run.status}': it was interrupted or is still going, and what it left is no "
            f"result; give a finished one (see 'sovereign runs list')"
        )
    rerun = rerun_of(run.record) if rerun_of is not None else None
    result = stress_run(store.trades(run.id), run.record.starting_balance, run.record.zone, config, rerun)
    # The record carries the configuration of its parent: stressing a run is not another trial of the strategy.
    record = replace(run.record, id=f"{run.id}-stress", kind="stress", parent_id=run.id, started_ns=now_ns, instruments=())
    stored = store.begin_run(record)
    store.finish_run(
        stored, finished_ns=now_ns, summary={"stress": result.to_plain()}, verdict="passed" if result.passed else "failed"
    )
    return stored, run, result


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One name with its value in both runs; None where a run does not have it."""

    name: str
    first: Any
    second: Any

    @property
    def change(self) -> float | None:
        """Second minus first when both are numbers."""
        try:
            return float(Decimal(str(self.second)) - Decimal(str(self.first)))
        except ArithmeticError:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How two runs differ. Trades are the same when symbol, side and entry time are."""

    first: str
    second: str
    facts: tuple[Difference, ...]
    metrics: tuple[Difference, ...]
    config: tuple[Difference, ...]
    trades_in_both: int
    only_first: tuple[Trade, ...]
    only_second: tuple[Trade, ...]
    changed: tuple[tuple[Trade, Trade], ...]

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values."""

        def plain(some: tuple[Difference, ...]) -> list[dict[str, Any]]:
            return [{"name": d.name, "first": d.first, "second": d.second, "change": d.change} for d in some]

        return {
            "first": self.first,
            "second": self.second,
            "facts": plain(self.facts),
            "metrics": plain(self.metrics),
            "config": plain(self.config),
            "trades": {
                "in_both": self.trades_in_both,
                "only_first": [trade_to_plain(trade) for trade in self.only_first],
                "only_second": [trade_to_plain(trade) for trade in self.only_second],
                "changed": [{"first": trade_to_plain(a), "second": trade_to_plain(b)} for a, b in self.changed],
            },
        }


def trade_to_plain(trade: Trade) -> dict[str, Any]:
    """Return a trade as JSON-ready values; money as exact text."""
    return {
        "trade_id": trade.trade_id,
        "symbol": trade.instrument.symbol,
        "side": trade.side.value,
        "quantity": trade.quantity,
        "entry_ns": trade.entry_ns,
        "exit_ns": trade.exit_ns,
        "entry_ticks": trade.entry_ticks,
        "exit_ticks": trade.exit_ticks,
        "gross": str(trade.gross),
        "fees": str(trade.fees),
        "net": str(trade.net),
        "mae_ticks": trade.mae_ticks,
        "mfe_ticks": trade.mfe_ticks,
        "slippage_ticks": trade.slippage_ticks,
        "exit_role": trade.exit_role.value,
        "decision_id": trade.decision_id,
        "labels": trade.labels,
        "is_ambiguous": trade.is_ambiguous,
    }


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, keys joined with dots."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[Difference, ...]:
    names = dict.fromkeys((*first, *second))
    return tuple(
        Difference(name=name, first=first.get(name), second=second.get(name))
        for name in names
        if first.get(name) != second.get(name)
    )


_FACTS = ("kind", "strategy", "symbols", "start", "end", "data_hash", "code_hash", "seed", "fill_model", "starting_balance")


def _facts(run: StoredRun) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for name in _FACTS:
        value = getattr(run.record, name)
        facts[name] = ", ".join(value) if isinstance(value, tuple) else value if isinstance(value, int) else str(value)
    facts["status"] = run.status
    facts["verdict"] = run.verdict
    return facts


def _metrics(run: StoredRun) -> dict[str, Any]:
    return {key: metric.get("value") for key, metric in run.summary.get("metrics", {}).items()}


def compare_runs(store: Store, first: str, second: str) -> Comparison:
    """Lay two runs of the ledger side by side; only what differs is listed."""
    a, b = store.run(first), store.run(second)
    before = {(t.instrument.symbol, t.side, t.entry_ns): t for t in store.trades(a.id)}
    after = {(t.instrument.symbol, t.side, t.entry_ns): t for t in store.trades(b.id)}
    both = [key for key in before if key in after]

    def outcome(trade: Trade) -> tuple[object, ...]:
        return trade.quantity, trade.entry_ticks, trade.exit_ticks, trade.exit_ns, trade.net

    return Comparison(
        first=a.id,
        second=b.id,
        facts=_differences(_facts(a), _facts(b)),
        metrics=_differences(_metrics(a), _metrics(b)),
        config=_differences(flatten(a.record.config), flatten(b.record.config)),
        trades_in_both=len(both),
        only_first=tuple(trade for key, trade in before.items() if key not in after),
        only_second=tuple(trade for key, trade in after.items() if key not in before),
        changed=tuple((before[key], after[key]) for key in both if outcome(before[key]) != outcome(after[key])),
    )
