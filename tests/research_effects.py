"""Effects of the settings of the store, metrics, evidence card and stress tests (see key_effects.py)."""

from __future__ import annotations

from pathlib import Path

from example_run import START, ZONE, example_record, example_run
from key_effects import effect, effects_of, temporary_folder

from sovereign.research.configuration import EvidenceConfig, MetricsConfig, StressConfig
from sovereign.research.evidence_card import build_card
from sovereign.research.metrics import compute_metrics
from sovereign.research.stress import stress_run
from sovereign.store.configuration import StoreConfig
from sovereign.store.store import Store


def _metrics(config: MetricsConfig) -> object:
    return {key: (metric.value, metric.formula) for key, metric in compute_metrics(example_run(), config).items()}


effects_of(
    "metrics",
    MetricsConfig(),
    _metrics,
    {
        "trading_days": (252, 365),
        "risk_free_frac": (0.0, 0.05),
        "confidence_frac": (0.95, 0.5),
        "bootstrap_samples": (2_000, 200),
        "bootstrap_seed": (1, 2),
    },
)


def _evidence(config: EvidenceConfig) -> object:
    return [check.passed for check in build_card(example_run(), config=config).checks]


effects_of(
    "evidence",
    EvidenceConfig(),
    _evidence,
    {"max_ambiguous_frac": (0.05, 0.5), "min_trades": (2, 100), "min_deflated_sharpe": (0.95, 0.0)},
)


def _stress(config: StressConfig) -> object:
    return stress_run(example_run().trades, START, ZONE, config).to_plain()


effects_of(
    "stress",
    StressConfig(),
    _stress,
    {
        "shuffles": (100, 1_000),
        "seed": (1, 2),
        "slippage_ticks": ((1, 2), (3,)),
        "max_hour_share": (0.6, 1.0),
        "max_weekday_share": (0.6, 0.1),
        "drawdown_quantile": (0.95, 0.05),
        "max_drawdown_frac": (0.25, 0.001),
        "final_quantile": (0.05, 0.5),
        "min_final_profit": (0.0, -1e6),
        "ruin_loss_frac": (0.5, 0.001),
        "max_ruin_probability": (0.01, 1.0),
        "losing_streak_quantile": (0.95, 0.05),
        "max_losing_streak": (15, 1),
    },
)


@effect("store.url")
def _() -> tuple[object, object]:
    folder = temporary_folder()
    for name in ("one", "two"):
        Store(f"sqlite:///{folder}/{name}.sqlite").close()
    with Store(f"sqlite:///{folder}/one.sqlite") as store:
        store.begin_run(example_record())
    return tuple(_runs(folder / f"{name}.sqlite") for name in ("one", "two"))  # type: ignore[return-value]


def _runs(path: Path) -> int:
    with Store(f"sqlite:///{path}") as store:
        return len(store.runs())


def _pragmas(config: StoreConfig) -> object:
    with Store(config) as store, store._database.reading() as connection:
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("busy_timeout", "synchronous")]


effects_of(
    "store",
    StoreConfig(url=f"sqlite:///{temporary_folder()}/store.sqlite"),
    _pragmas,
    {"busy_timeout_ms": (1, 2), "synchronous": ("NORMAL", "FULL")},
)
