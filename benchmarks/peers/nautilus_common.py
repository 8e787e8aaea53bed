"""What both NautilusTrader programs share: one futures contract, a quiet engine on last prices, tick objects from columns."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
from nautilus_trader.backtest.config import BacktestEngineConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.backtest.models import FillModel, LatencyModel
from nautilus_trader.common.config import LoggingConfig
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import BookOrder, QuoteTick, TradeTick
from nautilus_trader.model.enums import AccountType, AggressorSide, AssetClass, BookType, LiquiditySide, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TraderId, Venue
from nautilus_trader.model.instruments import FuturesContract
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.risk.config import RiskEngineConfig

VENUE = Venue("XCME")
INSTRUMENT_ID = InstrumentId(Symbol("ES"), VENUE)
DEEP = 1_000_000
SIDES = {1: AggressorSide.BUYER, -1: AggressorSide.SELLER, 0: AggressorSide.NO_AGGRESSOR}


class LastPrice(FillModel):
    """Every taker fills whole at the market that made it one.

    The stock model fills a taker beyond the size of the last trade one tick worse, and a stop at its own trigger, gap or not.
    """

    def get_orderbook_for_fill_simulation(self, instrument, order, best_bid, best_ask):
        if order.liquidity_side == LiquiditySide.MAKER:
            return None
        book = OrderBook(instrument.id, BookType.L2_MBP)
        size = Quantity(DEEP, instrument.size_precision)
        book.add(BookOrder(OrderSide.BUY, best_bid, size, 1), 0, 0)
        book.add(BookOrder(OrderSide.SELL, best_ask, size, 2), 0, 0)
        return book


def to_ticks(price: Price, tick_size: float) -> int:
    return int(price.as_decimal() / Decimal(str(tick_size)))


def build_engine(
    tick_size: float, tick_value: float, *, is_stock: bool, latency_ns: int = 0
) -> tuple[BacktestEngine, FuturesContract]:
    """Build an engine whose market is the last trade: no spread, no queue, no fees, a touch fills by the traded size."""
    engine = BacktestEngine(
        BacktestEngineConfig(
            trader_id=TraderId("BENCH-001"),
            logging=LoggingConfig(bypass_logging=True),
            risk_engine=RiskEngineConfig(bypass=True),
            run_analysis=False,
        )
    )
    engine.add_venue(
        venue=VENUE,
        oms_type=OmsType.HEDGING,
        account_type=AccountType.MARGIN,
        base_currency=USD,
        starting_balances=[Money(1_000_000_000, USD)],
        book_type=BookType.L1_MBP,
        fill_model=FillModel() if is_stock else LastPrice(),
        latency_model=LatencyModel(base_latency_nanos=0, insert_latency_nanos=latency_ns) if latency_ns else None,
        trade_execution=False,
        reject_stop_orders=False,
        use_reduce_only=is_stock,
    )
    instrument = FuturesContract(
        instrument_id=INSTRUMENT_ID,
        raw_symbol=INSTRUMENT_ID.symbol,
        asset_class=AssetClass.INDEX,
        currency=USD,
        price_precision=2,
        price_increment=Price(tick_size, 2),
        multiplier=Quantity.from_str(f"{tick_value / tick_size:g}"),
        lot_size=Quantity.from_int(1),
        underlying="ES",
        activation_ns=0,
        expiration_ns=pd.Timestamp("2200-01-01", tz="UTC").value,
        ts_event=0,
        ts_init=0,
    )
    engine.add_instrument(instrument)
    return engine, instrument


def trade_ticks(columns: dict[str, np.ndarray], tick_size: float) -> list[TradeTick]:
    """Build tick objects with the framework's own vectorized constructor (prices and sizes in its fixed point)."""
    side = columns["side"]
    aggressor = np.where(side > 0, 1, np.where(side < 0, 2, 0)).astype(np.uint8)
    return TradeTick.from_raw_arrays_to_list(
        INSTRUMENT_ID,
        2,
        0,
        columns["price"].astype(np.float64) * tick_size,
        columns["size"].astype(np.float64),
        aggressor,
        [str(i) for i in range(len(side))],
        columns["ts"].astype(np.uint64),
        columns["ts"].astype(np.uint64),
    )


def quote_tick(ts: int, bid: int, ask: int, tick_size: float) -> QuoteTick:
    size = Quantity.from_int(DEEP)
    return QuoteTick(INSTRUMENT_ID, Price(bid * tick_size, 2), Price(ask * tick_size, 2), size, size, ts, ts)
