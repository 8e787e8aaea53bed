"""The strategy's record of its own trades: what it saw when it entered, what came of it, and the edge that says.

Episodes are kept in a book that outlives the process, where there is one; the edge is worked out with or without.
"""

from __future__ import annotations

from dataclasses import replace

from sovereign.core.episode import Episode, EpisodeBook
from sovereign.core.position import Trade
from sovereign.core.session import Session
from sovereign.strategies.tug_of_war.configuration import PositionConfig
from sovereign.strategies.tug_of_war.kelly import Kelly

_MADE = " made "


class TradeRecord:
    """Open entries by symbol, and the returns of closed trades.

    Attributes
    ----------
    kelly : the returns. book : where episodes are kept; None: nowhere, and then no entry is remembered.
    entries : those of which a trade may come, by symbol: a symbol has one position. session : the one that is on.
    """

    def __init__(self, strategy: str, config: PositionConfig) -> None:
        self._strategy = strategy
        self._config = config
        self.kelly = self._new_kelly()
        self.book: EpisodeBook | None = None
        self.entries: dict[str, Episode] = {}
        self.session: Session | None = None

    def _new_kelly(self) -> Kelly:
        return Kelly(self._config.kelly, self._config.trend_stop_frac, self._config.trend_target_frac)

    def start_session(self, session: Session) -> None:
        """Remember what earlier sessions have left, at the first."""
        is_first, self.session = self.session is None, session
        if self.book is None or not is_first:
            return
        # Only what was closed before the session: run again after a crash, it must know what it knew the first time.
        self.kelly = self._new_kelly()
        for episode in self.book.closed_before(self._strategy, session.open_ns, self._config.kelly.max_trades):
            self.kelly.add(episode.return_frac or 0.0)
        for held in self.book.open_at(self._strategy, session.open_ns):
            self.give_up(held.symbol)  # a symbol has one position: it is that of the latest entry
            # One that a first life of this session has closed is closed anew: its sentence begins with the verdict again.
            self.entries[held.symbol] = replace(held, lesson=held.lesson.partition(_MADE)[0])

    def open(self, entry: Episode) -> None:
        """Take an entry that was asked for."""
        self.give_up(entry.symbol)  # what fills from now on is taken for the latest entry
        self.entries[entry.symbol] = entry
        # Kept at once: another process may be the one that closes the position.
        self._keep(entry)

    def close(self, trade: Trade) -> None:
        """Take a closed trade."""
        move = trade.side.sign * (trade.exit_ticks - trade.entry_ticks) / trade.entry_ticks
        self.kelly.add(move)
        symbol = trade.instrument.symbol
        entry = self.entries.get(symbol)
        if entry is None or entry.side != trade.side.sign:
            self.give_up(symbol)
            return
        del self.entries[symbol]
        # A position carried over is the session's from its open on; it has been held since it was decided on.
        is_carried = self.session is not None and trade.entry_ns <= self.session.open_ns
        closed = replace(
            entry,
            closed_ns=trade.exit_ns,
            outcome=1.0 if trade.net > 0 else 0.0 if trade.net < 0 else 0.5,
            return_frac=move,
            exit_reason=trade.exit_role.value,
            held_ns=trade.exit_ns - (entry.opened_ns if is_carried else trade.entry_ns),
            lesson=f"{entry.lesson}{_MADE}{move:+.2%} by {trade.exit_role.value}",
        )
        self._keep(closed)

    def give_up(self, symbol: str) -> None:
        """Forget an entry of which no trade will come: it was refused, was not filled, or its position went without us."""
        entry = self.entries.pop(symbol, None)
        if entry is not None and self.book is not None:
            self.book.drop(entry)

    def _keep(self, episode: Episode) -> None:
        if self.book is not None:
            self.book.keep(episode, self._config.kelly.max_kept_episodes)
