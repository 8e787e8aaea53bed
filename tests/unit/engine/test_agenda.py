"""The agenda of a block: which rows somebody must look at, and which are passed over."""

from __future__ import annotations

import numpy as np

from sovereign.core.columns import Trades
from sovereign.core.instrument import find_instrument
from sovereign.core.session import NEVER
from sovereign.engine.agenda import ASKED, Agenda
from sovereign.engine.tape import Tape

ROW = np.dtype([("known_at", np.int64), ("seq", np.int64), ("wake", np.bool_), ("code", np.int8)])


class Screened:
    """A strategy whose rows say themselves what comes of them; every row is due for a holder."""

    own_checks = ("first",)
    needs_quotes = False
    terms = None

    def screen(self, symbols, rows):
        return rows["code"].copy()

    def sides(self, rows):
        return np.ones(len(rows), np.int8)

    def due_for_holders(self, rows):
        return np.full(len(rows), 3, np.int8)

    def refusal(self, symbol, ts, values, terms, last_ticks):
        raise LookupError(symbol)

    def decide(self, moment):
        return ()

    def signal_stream(self, instrument):
        raise LookupError(instrument.symbol)

    def start_session(self, session, instrument):
        """Nothing is kept."""

    name = "screened"
    warm_up_sessions = 0


def tapes(count):
    return [Tape(find_instrument(symbol), n, Trades.empty()) for n, symbol in enumerate(("ES", "NQ", "CL")[:count])]


def rows_of(codes):
    rows = np.zeros(len(codes), ROW)
    rows["known_at"], rows["wake"], rows["code"] = np.arange(10, 10 + len(codes)), True, codes
    return rows


def test_agenda_when_a_block_wakes_nobody_then_nothing_of_the_block_before_is_passed_over_again():
    agenda = Agenda(Screened(), is_screened=True, is_kept=True)
    agenda.start_session()
    first, second = tapes(2)
    first.rows = rows_of([1, 1, 1, ASKED])
    agenda.line_up([first, second])
    assert agenda.pass_over(agenda.stop_before(NEVER, {}), {}, 0, 0, None) == (3, 12)
    assert agenda.take() == ASKED
    agenda.end_block()
    agenda.line_up([first, second])  # a block without rows that wake
    held = {second.order: 1}
    assert agenda.stop_before(NEVER, held) == agenda.next == 0
    assert agenda.forbidden_before(agenda.next, held) == []
    assert len(agenda.end_session()) == 3
