"""What a line hears of its market: what happened to its account, then the tape up to that moment, then the next session."""

from __future__ import annotations

from sovereign.execution.venue.book import Book
from sovereign.execution.venue.fault import Channel
from sovereign.execution.venue.market import Market
from sovereign.execution.venue.protocol import (
    AskSession,
    PrivateSince,
    Request,
    SessionEnd,
    SessionStart,
    Subscribe,
    SubscribeQuotes,
    WorkedThrough,
)
from sovereign.execution.venue.tape_slice import encode_slice
from sovereign.execution.venue.wire import Line


def send_news(line: Line, market: Market, book: Book) -> bool:
    """Send a bite of news; return whether there may be more."""
    for message in book.messages[line.seq :]:
        line.put(message, Channel.PRIVATE)
    line.seq = book.seq
    is_more = False
    session = market.tape.session_on(line.session)
    if session is not None:
        for symbol, (ticks, until_ns) in line.places.items():
            part = market.part(session, symbol, ticks, until_ns, book, line.quoted.get(symbol))
            if part is not None:
                line.places[symbol] = (part.stop, part.until_ns)
                if part.quotes is not None:
                    line.quoted[symbol] = part.quotes_until_ns
                line.put(encode_slice(part), Channel.MARKET)
                is_more = True
    if not is_more:
        _announce(line, market, book)
    return is_more


def note(line: Line, message: Request, market: Market, book: Book) -> None:
    """Take what a line says of what it wants to hear and has heard; none of it needs an answer."""
    match message:
        case Subscribe():
            if line.session != message.session:
                line.session, line.places, line.quoted = message.session, {}, {}
            line.places[message.symbol] = (message.ticks, message.until_ns)
        case SubscribeQuotes():
            if line.session == message.session:
                line.quoted[message.symbol] = message.from_ns
        case WorkedThrough():
            if line.worked is None or line.worked[0] != message.session or line.worked[1] < message.until_ns:
                line.worked = (message.session, message.until_ns)
        case PrivateSince():
            line.seq = min(line.seq, message.seq)
        case AskSession():
            _tell_session(line, market, book)


def _announce(line: Line, market: Market, book: Book) -> None:
    # of sessions that have ended and begun since; a subscriber hears of the next one after its own
    sessions = market.tape.sessions
    while line.announced < market.index or (market.is_over and line.announced < len(sessions)):
        if line.session is not None and line.announced >= 0:
            ended = sessions[line.announced]
            if line.session != ended.trade_date:
                return  # it has still to subscribe to what was announced
            line.put(SessionEnd(session=ended.trade_date, after=book.seq_at(ended.close_ns)), Channel.MARKET)
        line.announced += 1
        if line.announced >= len(sessions):
            line.put(SessionStart(session=None, after=book.seq), Channel.MARKET)
        else:
            _tell_session(line, market, book)


def _tell_session(line: Line, market: Market, book: Book) -> None:
    if not 0 <= line.announced < len(market.tape.sessions):
        line.put(SessionStart(session=None, after=book.seq), Channel.MARKET)
        return
    session = market.tape.sessions[line.announced]
    instruments = tuple(market.tape.instruments(session))
    after = book.seq_at(session.open_ns)
    line.put(SessionStart(session=session, instruments=instruments, after=after), Channel.MARKET)
