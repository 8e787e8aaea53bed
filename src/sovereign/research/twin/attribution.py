"""From the books of plays that differ by one cause each, what every cause has changed.

The plays stand in a row, from the session as it was to the backtest; between two neighbors one cause was taken away. What
differs between them is that cause's part. The parts of a difference therefore add up to it, exactly and always, for every
trade, for fees and for profit and loss. What two causes only do together counts with the one that is taken away first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from sovereign.research.twin.books import Books, Item, ItemKind, Key, Value, total


class Cause(StrEnum):
    """Why a session and its backtest differ, in the order in which causes are taken away."""

    UNEXPLAINED = "unexplained"
    SIGNAL = "signal"
    FILL = "fill"
    LATENCY = "latency"
    FEE = "fee"
    PERSON = "person"
    DATA = "data"


MEANINGS: Mapping[Cause, str] = {
    Cause.UNEXPLAINED: "the recording, played again with the same code and settings, does not give what was stored",
    Cause.SIGNAL: "code, settings or warm-up that decide are not those of the session any more",
    Cause.FILL: "the venue filled, refused or booked otherwise than the fill model says",
    Cause.LATENCY: "requests or answers took another time, never arrived, or the venue was out of reach",
    Cause.FEE: "the venue charged other fees or margins than the settings say",
    Cause.PERSON: "a person, a schedule or the guard asked for something",
    Cause.DATA: "market data came late, fell silent, or its line was lost",
}

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One play's books; `cause` is what still distinguishes it from the next one."""

    cause: Cause
    books: Books


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """An item that session and twin do not have alike.

    Parameters
    ----------
    live, twin : what was compared, None where there is no such item. fields : names of values that differ.
    parts : profit and loss (of trades and what is open) that each cause made; they add up to `net`.
    fee_parts : the same for the fees of fills.
    """

    kind: ItemKind
    ts: int
    name: str
    live: Mapping[str, Value] | None
    twin: Mapping[str, Value] | None
    fields: tuple[str, ...]
    causes: tuple[Cause, ...]
    net: Decimal
    parts: Mapping[Cause, Decimal]
    fee: Decimal
    fee_parts: Mapping[Cause, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How much there is of everything, and what it made (session, twin, or live less twin)."""

    decisions: int
    orders: int
    fills: int
    trades: int
    fees: Decimal
    net: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one cause has changed: counts are of differences it had a part in; `fees` and `net` add up over all causes.

    `evidence` are the facts in the recording behind it.
    """

    cause: Cause
    decisions: int
    orders: int
    fills: int
    trades: int
    fees: Decimal
    net: Decimal
    evidence: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the cause has changed nothing."""
        return not (self.decisions or self.orders or self.fills or self.trades or self.fees or self.net)


def figures_of(books: Books) -> Figures:
    """Return the figures of a play."""
    return Figures(
        decisions=books.count(ItemKind.DECISION),
        orders=books.count(ItemKind.ORDER),
        fills=books.count(ItemKind.FILL),
        trades=books.count(ItemKind.TRADE),
        fees=books.fees,
        net=books.net,
    )


def attribute(
    stages: Sequence[Stage], twin: Books, evidence: Mapping[Cause, Sequence[str]]
) -> tuple[tuple[Share, ...], tuple[Difference, ...]]:
    """Return every cause's share and every difference, earliest first.

    Parameters
    ----------
    stages : the session first; each differs from the next, and the last one from `twin`, by its cause.
    """
    row = [*(stage.books for stage in stages), twin]
    causes = [stage.cause for stage in stages]
    keys: dict[Key, None] = {}
    for books in row:
        keys.update(dict.fromkeys(books.items))
    found = [_difference(key, [books.items.get(key) for books in row], causes) for key in keys]
    differences = sorted(
        (one for one in found if one is not None), key=lambda one: (one.ts, list(ItemKind).index(one.kind), one.name)
    )
    shares = []
    for number, cause in enumerate(causes):
        touched = [one for one in differences if cause in one.causes]

        def count(kind: ItemKind, touched: Sequence[Difference] = touched) -> int:
            return sum(one.kind is kind for one in touched)

        before, after = row[number], row[number + 1]
        shares.append(
            Share(
                cause=cause,
                decisions=count(ItemKind.DECISION),
                orders=count(ItemKind.ORDER),
                fills=count(ItemKind.FILL),
                trades=count(ItemKind.TRADE),
                fees=total((before.fees, -after.fees)),
                net=total((before.net, -after.net)),
                evidence=tuple(evidence.get(cause, ())),
            )
        )
    return tuple(shares), tuple(differences)


def _difference(key: Key, row: Sequence[Item | None], causes: Sequence[Cause]) -> Difference | None:
    """Return how an item differs between the ends of the row; None when it does not."""
    live, twin = row[0], row[-1]
    if _same(live, twin):
        return None
    some = next(item for item in row if item is not None)
    parts: dict[Cause, Decimal] = {}
    fee_parts: dict[Cause, Decimal] = {}
    touched: list[Cause] = []
    for cause, before, after in zip(causes, row, row[1:], strict=False):
        if _same(before, after):
            continue
        touched.append(cause)
        parts[cause] = total((_net(before), -_net(after)))
        fee_parts[cause] = total((_fee(before), -_fee(after)))
    ours = {} if live is None else live.values
    theirs = {} if twin is None else twin.values
    names = dict.fromkeys((*ours, *theirs))
    return Difference(
        kind=key[0],
        ts=some.ts,
        name=some.name,
        live=None if live is None else live.values,
        twin=None if twin is None else twin.values,
        fields=tuple(name for name in names if ours.get(name) != theirs.get(name)),
        causes=tuple(touched),
        net=total((_net(live), -_net(twin))),
        parts=parts,
        fee=total((_fee(live), -_fee(twin))),
        fee_parts=fee_parts,
    )


def _same(one: Item | None, other: Item | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.values == other.values and one.net == other.net and one.fee == other.fee


def _net(item: Item | None) -> Decimal:
    return ZERO if item is None else item.net


def _fee(item: Item | None) -> Decimal:
    return ZERO if item is None else item.fee
