"""What scouts and the tug of war leave in the store, a row of each kind."""

from sovereign.core.news import NewsReading, PhraseCluster
from sovereign.core.tape import TapeSnapshot

SNAPSHOT = TapeSnapshot(
    symbol="NVDA",
    ts=60,
    ofi=1_200.5,
    ofi_z=-1.75,
    queue_imbalance=-0.25,
    queue_imbalance_z=float("nan"),
    mid=150.005,
    bid_size=300,
    ask_size=500,
    is_absorption=True,
)
READING = NewsReading(
    symbol="NVDA",
    ts=60,
    probability=0.15,
    is_accepted=False,
    terms={"posts": 0.619, "duplicates": -2.354},
    clusters=(PhraseCluster(phrase="buy the dip now", post_ids=(1, 2, 3), authors=2),),
    posts=12,
    authors=4,
    filings=("0001045810-26-000024",),
    items=("5.02", "9.01"),
    headlines=3,
    tone=0.5,
    filing_tone=0.5,
    headline_tone=float("nan"),
    post_tone=-0.1,
    missing={"Yahoo": "down"},
)
SIGNAL = {
    "ts": 5,
    "symbol": "NVDA",
    "bot": "sovereign",
    "direction": "buy",
    "confidence": 0.8125,
    "raw_confidence": 0.9,
    "signal_type": "vote",
    "regime_state": "trend",
    "ofi_z_score": -0.5,
    "afd_momentum": 0.001,
    "bayesian_score": float("nan"),
    "raw_data": {"votes": {"orb": 3}},
}
RESULT = {
    "ts": 6,
    "symbol": "NVDA",
    "sovereign_direction": "buy",
    "madman_direction": "sell",
    "conflict": True,
    "verdict": "strong_execute",
    "sovereign_confidence": 0.8,
    "madman_confidence": 0.6,
    "tug_score": 0.2,
    "decision_id": "d1",
}
ORDER = {
    "ts": 7,
    "client_order_id": "o1",
    "symbol": "NVDA",
    "side": "BUY",
    "qty": 10,
    "order_type": "LIMIT",
    "order_type_detail": "IOC at mid + 5 bp",
    "limit_price": "150.08",
    "status": "pending",
    "fill_qty": 0,
}
