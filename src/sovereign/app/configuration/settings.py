"""All settings of the platform in one model. Each section is declared beside the code that obeys it.

To add a section: import its class and add one line to `Settings` (or, for a strategy, to `StrategySettings`). The loader,
`config show | schema | init`, the reference page and the test that every key has an effect follow from it.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from pydantic import Field

from sovereign.app.dashboard.configuration import DashboardConfig
from sovereign.app.data_settings import DataSettings
from sovereign.app.notify.configuration import AlertsConfig
from sovereign.app.ops.configuration import (
    DoctorConfig,
    GuardConfig,
    HealthConfig,
    HeartbeatConfig,
    KillConfig,
    LogConfig,
    ScheduleConfig,
)
from sovereign.app.scout_settings import NewsSettings
from sovereign.app.session_settings import SessionSettings
from sovereign.core.configuration import Configuration
from sovereign.engine.live_configuration import LiveConfig
from sovereign.execution.fill_model import ExecutionConfig
from sovereign.execution.venue.configuration import VenueConfig
from sovereign.feeds.alpaca.configuration import AlpacaConfig
from sovereign.feeds.synthetic import PortfolioMarketConfig, QueueConfig, SyntheticConfig
from sovereign.feeds.universe import UniverseConfig
from sovereign.research.configuration import EvidenceConfig, MetricsConfig, StressConfig
from sovereign.risk.configuration import RiskConfig
from sovereign.signals.tape import TapeConfig
from sovereign.store.configuration import StoreConfig
from sovereign.strategies.council.configuration import CouncilConfig
from sovereign.strategies.lossless.configuration import LosslessConfig
from sovereign.strategies.order_flow.configuration import OrderFlowConfig
from sovereign.strategies.tug_of_war.configuration import TugOfWarConfig


class AccountConfig(Configuration):
    """The simulated account."""

    starting_balance: Decimal = Field(
        Decimal(2500),
        gt=0,
        description="Balance at the start of a run, in USD. Source: order-flow requirement, first account tier.",
    )


class ReportConfig(Configuration):
    """What a run leaves behind."""

    folder: Path = Field(
        Path("runs"), description="Folder that gets one folder per run (report, JSON, CSV); relative to the working directory."
    )


class StrategySettings(Configuration):
    """Settings of the trading systems, by name."""

    council: CouncilConfig = Field(CouncilConfig(), description="The council.")
    lossless: LosslessConfig = Field(LosslessConfig(), description="The lossless strategy.")
    order_flow: OrderFlowConfig = Field(OrderFlowConfig(), description="The order-flow strategy.")
    tug_of_war: TugOfWarConfig = Field(TugOfWarConfig(), description="The tug of war.")


class Settings(Configuration):
    """Everything that a user can set."""

    account: AccountConfig = Field(AccountConfig(), description="The simulated account.")
    alerts: AlertsConfig = Field(AlertsConfig(), description="Alerts: who is told what, and how often.")
    alpaca: AlpacaConfig = Field(AlpacaConfig(), description="Alpaca: market data, and broker of paper and live accounts.")
    dashboard: DashboardConfig = Field(DashboardConfig(), description="The dashboard and its API.")
    data: DataSettings = Field(DataSettings(), description="Market data: where it is kept and how it is read.")
    doctor: DoctorConfig = Field(DoctorConfig(), description="What the doctor holds things against.")
    evidence: EvidenceConfig = Field(EvidenceConfig(), description="How hard a result is tested before it is believed.")
    execution: ExecutionConfig = Field(ExecutionConfig(), description="Assumptions of the simulated broker.")
    guard: GuardConfig = Field(GuardConfig(), description="The dead-man guard.")
    health: HealthConfig = Field(HealthConfig(), description="The health endpoints.")
    heartbeat: HeartbeatConfig = Field(HeartbeatConfig(), description="Where and how often a session says that it is alive.")
    kill: KillConfig = Field(KillConfig(), description="How hard guard and kill try to flatten an account.")
    log: LogConfig = Field(LogConfig(), description="What is logged, and how.")
    live: LiveConfig = Field(LiveConfig(), description="Paper and live sessions: how they watch lines, broker and themselves.")
    metrics: MetricsConfig = Field(MetricsConfig(), description="How ratios are annualized and intervals made.")
    news: NewsSettings = Field(NewsSettings(), description="News: where they come from, and how they are judged.")
    portfolio_market: PortfolioMarketConfig = Field(
        PortfolioMarketConfig(), description="The driftless market of several symbols, for the null test."
    )
    queues: QueueConfig = Field(QueueConfig(), description="What waits at the best prices of simulated markets.")
    report: ReportConfig = Field(ReportConfig(), description="What a run leaves behind.")
    risk: RiskConfig = Field(RiskConfig(), description="Limits of the one door every order passes.")
    schedule: ScheduleConfig = Field(ScheduleConfig(), description="When the daily digest is sent.")
    session: SessionSettings = Field(SessionSettings(), description="Sessions of paper and live trading.")
    store: StoreConfig = Field(StoreConfig(), description="The SQL store of runs, decisions, orders and fills.")
    strategies: StrategySettings = Field(StrategySettings(), description="Settings of the trading systems.")
    stress: StressConfig = Field(StressConfig(), description="What a stressed run must survive.")
    synthetic: SyntheticConfig = Field(SyntheticConfig(), description="The simulated market.")
    tape: TapeConfig = Field(TapeConfig(), description="How the tape is cut and scored.")
    universe: UniverseConfig = Field(
        UniverseConfig(), description="The watchlist: symbols, sector groups, benchmarks, numbers at the SEC."
    )
    venue: VenueConfig = Field(VenueConfig(), description="The stand-alone simulated venue.")
