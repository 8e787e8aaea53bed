"""The settings of the risk door. One frozen section; every limit the door knows is a field here and nowhere else.

Money is in the account currency, losses are negative as traders write them (`daily_loss_limit = -300`), fractions are
0..1. "definitions 5.4" and "order_flow" name the requirement a default comes from.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from sovereign.core.configuration import Configuration
from sovereign.core.errors import UsageError
from sovereign.core.instrument import FUTURES
from sovereign.risk.window import Window, parse_news

Money = Annotated[Decimal, Field(allow_inf_nan=False)]
Loss = Annotated[Decimal, Field(lt=0, allow_inf_nan=False)]
Fraction = Annotated[Decimal, Field(gt=0, le=1, allow_inf_nan=False)]
Minutes = Annotated[int, Field(ge=0, le=720)]


def none_if_said(value: Any) -> Any:
    """Read the word `none` as None: TOML and the environment have no null."""
    return None if isinstance(value, str) and value.strip().lower() == "none" else value


class FamilyConfig(Configuration):
    """One index in two contract sizes. Both have the same tick, so either can be traded on the other's tape."""

    full: str = Field(description="root of the full-size contract, for example ES")
    micro: str = Field(description="root of the micro contract, for example MES")

    @model_validator(mode="after")
    def _known_and_alike(self) -> FamilyConfig:
        for root in (self.full, self.micro):
            if root not in FUTURES:
                raise ValueError(f"root was '{root}'; allowed are {', '.join(FUTURES)}")
        full, micro = FUTURES[self.full], FUTURES[self.micro]
        if full.tick_size != micro.tick_size:
            raise ValueError(
                f"{self.full} ticks in {full.tick_size} and {self.micro} in {micro.tick_size}; "
                "a family needs one tick size, so leave this pair out"
            )
        return self


class TierConfig(Configuration):
    """What an account of a certain size may trade."""

    name: str = Field(min_length=1, description="name shown in events and reports")
    min_balance: Money = Field(ge=0, description="balance from which the tier applies, account currency")
    contract: Literal["micro", "full"] = Field(description="which contract of a family is traded")
    max_units: int = Field(ge=1, description="largest position, contracts")
    daily_loss_limit: Loss = Field(
        description="daily loss, realized and floating, that ends the day; account currency, negative"
    )


def _tier(name: str, min_balance: str, contract: Literal["micro", "full"], max_units: int, loss: str) -> TierConfig:
    return TierConfig(
        name=name,
        min_balance=Decimal(min_balance),
        contract=contract,
        max_units=max_units,
        daily_loss_limit=Decimal(loss),
    )


class TiersConfig(Configuration):
    """Account tiers: small accounts trade micros, and grow into the full contract."""

    enabled: bool = Field(
        default=True,
        description="use the tiers for the roots of `families`; every other instrument is sized by its loss at the stop",
    )
    demotion_buffer_frac: Decimal = Field(
        default=Decimal("0.05"),
        ge=0,
        lt=1,
        description="how far below a tier's min_balance, as a fraction of it, the balance must fall before the tier is lost",
    )
    families: tuple[FamilyConfig, ...] = Field(
        default=(FamilyConfig(full="ES", micro="MES"), FamilyConfig(full="NQ", micro="MNQ")),
        description="contract families the tiers cover",
    )
    table: tuple[TierConfig, ...] = Field(
        default=(
            _tier("MES building", "0", "micro", 3, "-100"),
            _tier("ES entry", "3500", "full", 1, "-400"),
            _tier("ES growth", "5000", "full", 2, "-400"),
            _tier("ES scaling", "7500", "full", 3, "-500"),
            _tier("ES full", "10000", "full", 3, "-500"),
        ),
        min_length=1,
        description="the tiers, by rising min_balance; the first starts at 0 (definitions 5.4)",
    )

    @model_validator(mode="after")
    def _rising(self) -> TiersConfig:
        starts = [tier.min_balance for tier in self.table]
        if starts[0] != 0:
            raise ValueError(f"the first tier's min_balance was {starts[0]}; it must be 0 so that every balance has a tier")
        if any(later <= earlier for earlier, later in pairwise(starts)):
            raise ValueError(f"min_balance was {', '.join(map(str, starts))}; list the tiers by rising min_balance")
        names = [tier.name for tier in self.table]
        if len(set(names)) != len(names):
            raise ValueError(f"tier names were {', '.join(names)}; give each tier its own name")
        roots = [root for family in self.families for root in (family.full, family.micro)]
        if len(set(roots)) != len(roots):
            raise ValueError(f"family roots were {', '.join(roots)}; a root may stand in one family only")
        return self


class BreakersConfig(Configuration):
    """What stops trading although no single order is at fault. `"none"` switches a breaker off."""

    max_losses_in_a_row: int | None = Field(
        default=10,
        ge=1,
        description="losing trades in a row, within a session, that stop entries, count (order_flow: 5 were the most seen; "
        "a rule that loses 6 of 10 trades shows 10 in a row on 3 of 100 days of 20 trades)",
    )
    loss_pause_minutes: Annotated[int, Field(ge=1, le=1440)] | None = Field(
        default=None, description='how long a losing streak stops entries, min; "none" until the next session'
    )
    max_trades_per_session: int | None = Field(
        default=None, ge=1, description="trades of a session, open ones included, after which no entry is taken, count"
    )
    max_proposals_per_minute: int | None = Field(
        default=600,
        ge=1,
        description="entries proposed within 60 s, taken or not, beyond which the strategy is halted as running away until a "
        "person resumes it, count (ten a second; a strategy on bars comes nowhere near)",
    )
    max_rejects_in_a_row: int | None = Field(
        default=5,
        ge=1,
        description="orders that the venue rejects in a row before trading is halted until a person resumes it, count",
    )
    stale_position_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=120.0, description="how long market data may be silent while a position is open and the venue trades, s"
    )
    stale_position_action: Literal["alarm", "flatten"] = Field(
        default="alarm", description="what happens then: an alarm, or everything is closed and trading halted for the day"
    )
    recover_frac: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="a clock skew or a silence that has tripped is over below this fraction of its limit, so that it does not "
        "flap, fraction",
    )

    @field_validator(
        "max_losses_in_a_row",
        "loss_pause_minutes",
        "max_trades_per_session",
        "max_proposals_per_minute",
        "max_rejects_in_a_row",
        "stale_position_s",
        mode="before",
    )
    @classmethod
    def _none_is_a_word(cls, value: Any) -> Any:
        return none_if_said(value)


class RiskConfig(Configuration):
    """Limits of the one door every order passes."""

    stale_data_s: float = Field(
        default=60.0,
        gt=0,
        allow_inf_nan=False,
        description="oldest market data an entry may be decided on, s",
    )
    max_clock_skew_s: float = Field(
        default=1.0,
        ge=0,
        allow_inf_nan=False,
        description="how far market data may lie ahead of the clock before the clock is distrusted, s",
    )
    can_inputs_be_unknown: bool = Field(
        default=False,
        description="accept a candidate although one of the inputs it names is NaN",
    )

    hours: Literal["regular", "all"] = Field(
        default="regular",
        description="enter in the day session only, or whenever the venue trades; a strategy has hours of its own "
        "(strategies.order_flow.regime.hours), and an entry needs both",
    )
    first_entry_after_open_minutes: Minutes = Field(
        default=0,
        description="no entry in the first minutes of the hours, min (definitions 5.4: from 09:30)",
    )
    last_entry_before_close_minutes: Minutes = Field(
        default=15,
        description="no entry in the last minutes of the hours, min (definitions 5.4: until 15:45)",
    )
    can_enter_at_close: bool = Field(
        default=False,
        description="take an entry that is decided at the very moment the hours end (a daily bar's close), whatever the last "
        "entry minutes say; good till canceled, it meets the next session's first trade",
    )
    flatten_before_close_minutes: Minutes | None = Field(
        default=5,
        description="close every position this long before the hours end, min "
        '(order_flow: 15:55 New York, earlier on half days); "none" holds positions overnight',
    )
    clock_zone: str = Field(default="America/New_York", description="IANA time zone of `excluded_windows`")
    excluded_windows: tuple[str, ...] = Field(
        default=("12:00-13:00",),
        description="daily windows without entries, HH:MM-HH:MM in `clock_zone`, start included; [] trades through lunch "
        "(definitions 5.4: lunch)",
    )
    news: tuple[str, ...] = Field(
        default=(),
        description="news without entries of any strategy: ISO 8601 intervals 'start/end' or moments, with offset, for example "
        "2025-12-10T19:00:00Z; a strategy's own list (strategies.order_flow.regime.news) only keeps its regime out of them",
    )
    news_file: str | None = Field(
        default=None,
        description="file with one news interval or moment a line; text after it is its name, # starts a comment",
    )
    news_before_minutes: Minutes = Field(default=5, description="no entry this long before a news moment, min")
    news_after_minutes: Minutes = Field(default=5, description="no entry this long after a news moment, min")

    daily_profit_target: Money | None = Field(
        default=Decimal(500),
        gt=0,
        description="daily profit, realized and floating, that ends the day, account currency (order_flow: +500); "
        '"none" to run on',
    )
    daily_loss_limit: Loss | None = Field(
        default=Decimal(-300),
        description="daily loss, realized and floating, that ends the day, account currency, negative (order_flow: -300); "
        'a tier has its own; "none" leaves max_daily_loss_frac alone to rule',
    )
    max_daily_loss_frac: Fraction = Field(
        default=Decimal("0.08"),
        description="largest daily loss as a fraction of the day-start balance, whatever the limits above say "
        "(definitions 5.4: 400 of 3,500 is 11%)",
    )
    max_drawdown_frac: Fraction = Field(
        default=Decimal("0.25"),
        description="fall of equity from its high-water mark that halts trading until someone clears it, fraction of the mark",
    )

    max_positions: int = Field(
        default=1, ge=1, description="open positions and working entries together, count (order_flow: 1)"
    )
    max_working_entries: int = Field(default=1, ge=1, description="entry orders working at once, count")
    can_add_to_position: bool = Field(
        default=False,
        description="enter an instrument (or its micro or full sibling) that is already held",
    )
    max_quantity: int | None = Field(
        default=None, ge=1, description='largest order of any instrument, units; "none" for no such cap'
    )

    risk_frac: Fraction = Field(
        default=Decimal("0.01"),
        description="loss at the stop that sizes an order outside the tiers, fraction of the balance",
    )
    max_risk_frac: Fraction = Field(
        default=Decimal("0.07"),
        description="largest loss at the stop of one order, costs included, fraction of the balance "
        "(one ES with a 16-tick stop loses 6.6% of 3,500)",
    )
    max_notional_frac: Decimal = Field(
        default=Decimal(1),
        gt=0,
        allow_inf_nan=False,
        description="value of all shares held and ordered, as a multiple of the balance; futures are bounded by margin instead",
    )
    max_side_exposure_frac: Decimal | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="value of everything held and ordered on one side, long or short, with this order, as a multiple of equity "
        '(lossless: 2); "none" for no such limit',
    )
    sectors: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="groups that each symbol belongs to, for max_per_sector; an empty list says that it belongs to none",
    )
    max_per_sector: int | None = Field(
        default=None,
        ge=1,
        description="symbols of one group held and ordered, this one included, count (tug_of_war: 2); a symbol that "
        'sectors does not name is then refused; "none" for no such limit',
    )
    max_position_frac: Decimal | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="value of one symbol, what is held and ordered of it and this order, as a fraction of equity (tug_of_war: "
        '0.05, lossless: 0.10, council: 0.15); "none" for no such limit',
    )
    value_frac: Fraction | None = Field(
        default=None,
        description="size orders outside the tiers by their value: this fraction of equity, times what the strategy makes of "
        'it (council: 0.15); "none" sizes by the loss at the stop (risk_frac)',
    )
    can_short: bool = Field(default=True, description="open short positions; false refuses every entry that sells")
    win_streak: int = Field(
        default=3, ge=1, description="wins in a row that add one unit inside the tiers (definitions 5.4: 3)"
    )
    loss_streak: int = Field(default=2, ge=1, description="losses in a row that take one unit away (definitions 5.4: 2)")
    slippage_ticks: Decimal = Field(
        default=Decimal(2),
        ge=0,
        allow_inf_nan=False,
        description="slippage reckoned for a round trip, on top of both sides' fees, ticks",
    )
    min_reward_to_cost: Decimal = Field(
        default=Decimal(3),
        ge=0,
        allow_inf_nan=False,
        description="least value of the target as a multiple of fees and slippage (definitions 2.3: 3); 0 asks for no target",
    )

    margin_limits: dict[str, Money] = Field(
        default={
            "MES": Decimal(40),
            "ES": Decimal(400),
            "MNQ": Decimal(70),
            "NQ": Decimal(700),
            "RTY": Decimal(400),
            "YM": Decimal(400),
            "CL": Decimal(1300),
            "GC": Decimal(1300),
        },
        description="highest intraday margin per contract at which a root is traded, account currency "
        "(order_flow: MES 40, ES 400; the others a third above the usual margin); more than this is a high-margin day",
    )
    max_margin_frac: Fraction = Field(
        default=Decimal("0.5"),
        description="highest margin of a share as a fraction of its price (Regulation T: 0.5)",
    )
    max_margin_balance_frac: Fraction = Field(
        default=Decimal("0.5"),
        description="margin of everything held and ordered, as a fraction of the balance",
    )
    max_orders_per_minute: int = Field(
        default=30,
        ge=1,
        description="orders in 60 s, protective children counted, count",
    )

    tiers: TiersConfig = Field(default=TiersConfig(), description="account tiers")
    breakers: BreakersConfig = Field(default=BreakersConfig(), description="breakers")

    def no_fresher_than(self, seconds: float) -> RiskConfig:
        """Return the limits for recorded data that comes only every so many seconds: it is not stale before it can come.

        An alarm about silent data is for people who watch; where it would close positions, it waits as long as data may take.
        """
        silence, action = self.breakers.stale_position_s, self.breakers.stale_position_action
        waits = None if silence is None or action == "alarm" else max(silence, seconds)
        breakers = self.breakers.model_copy(update={"stale_position_s": waits})
        return self.model_copy(update={"stale_data_s": max(self.stale_data_s, seconds), "breakers": breakers})

    @field_validator(
        "daily_profit_target",
        "daily_loss_limit",
        "flatten_before_close_minutes",
        "max_quantity",
        "max_side_exposure_frac",
        "max_per_sector",
        "max_position_frac",
        "value_frac",
        "news_file",
        mode="before",
    )
    @classmethod
    def _none_is_a_word(cls, value: Any) -> Any:
        return none_if_said(value)

    @field_validator("clock_zone")
    @classmethod
    def _is_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError) as cause:
            raise ValueError(f"clock_zone was '{zone}'; write an IANA name, for example America/New_York") from cause
        return zone

    @field_validator("excluded_windows")
    @classmethod
    def _are_windows(cls, windows: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for text in windows:
                Window.parse(text)
        except UsageError as cause:
            raise ValueError(str(cause)) from cause
        return windows

    @field_validator("news")
    @classmethod
    def _are_news(cls, news: tuple[str, ...]) -> tuple[str, ...]:
        try:
            parse_news(news, 0, 0)
        except UsageError as cause:
            raise ValueError(str(cause)) from cause
        return news

    @model_validator(mode="after")
    def _closes_after_entries(self) -> RiskConfig:
        flatten = self.flatten_before_close_minutes
        if flatten is not None and self.last_entry_before_close_minutes < flatten:
            raise ValueError(
                f"last_entry_before_close_minutes was {self.last_entry_before_close_minutes} and flatten_before_close_minutes "
                f"{self.flatten_before_close_minutes}; entries must end before positions are closed"
            )
        return self
