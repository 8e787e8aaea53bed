"""The book of episodes: durable, one an account, bounded, and the same when a session is run again."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from sqlalchemy import update

from sovereign.core.episode import Episode, EpisodeBook
from sovereign.core.errors import UsageError
from sovereign.store.episodes import SqlEpisodeBook
from sovereign.store.live_schema import episodes
from sovereign.store.store import Store


def episode(number, *, closed_ns=None, strategy="council"):
    return Episode(
        episode_id=f"e{number}",
        strategy=strategy,
        symbol="SPY",
        opened_ns=number * 100,
        side=-1,
        regime="TRENDING_DOWN",
        features=(0.25, math.nan, -1e-9),
        views=(("hedge", -1, 0.75), ("markov", None, 0.0), ("sentiment", 0, 0.3)),
        confidence=0.7,
        size_frac=0.12,
        held_bars=(("2025-01-06", 3),),
        closed_ns=closed_ns,
        outcome=None if closed_ns is None else 0.0,
        return_frac=None if closed_ns is None else -0.01,
        exit_reason="" if closed_ns is None else "STOP",
        lesson="",
    )


@pytest.fixture
def book(store_url):
    with Store(store_url) as store:
        yield SqlEpisodeBook(store.database, "paper")


def test_episode_when_kept_then_comes_back_as_it_was(book: EpisodeBook):
    book.keep(episode(1, closed_ns=150), 10)
    (found,) = book.closed_before("council", 151, 10)
    assert math.isnan(found.features[1])
    assert replace(found, features=()) == replace(episode(1, closed_ns=150), features=())


def test_book_when_opened_by_another_process_then_still_knows(store_url):
    with Store(store_url) as store:
        SqlEpisodeBook(store.database, "paper").keep(episode(1, closed_ns=150), 10)
    with Store(store_url) as store:
        assert len(SqlEpisodeBook(store.database, "paper").closed_before("council", 1_000, 10)) == 1
        assert SqlEpisodeBook(store.database, "other").closed_before("council", 1_000, 10) == []
        assert SqlEpisodeBook(store.database, "paper").closed_before("lossless", 1_000, 10) == []


def test_closed_before_when_asked_then_the_latest_closed_strictly_before_oldest_first(book):
    for number, closed in ((1, 150), (2, 250), (3, 350), (4, None)):
        book.keep(episode(number, closed_ns=closed), 10)
    assert [e.episode_id for e in book.closed_before("council", 350, 10)] == ["e1", "e2"]
    assert [e.episode_id for e in book.closed_before("council", 351, 2)] == ["e2", "e3"]


def test_open_at_when_closed_later_then_was_open_then(book):
    for number, closed in ((1, 150), (2, 500), (3, None), (9, None)):
        book.keep(episode(number, closed_ns=closed), 10)
    assert [e.episode_id for e in book.open_at("council", 400)] == ["e2", "e3"]


def test_keep_when_the_same_comes_again_then_is_replaced(book):
    book.keep(episode(1), 10)
    book.keep(episode(1, closed_ns=150), 10)
    book.keep(episode(1, closed_ns=150), 10)
    assert [e.closed_ns for e in book.closed_before("council", 1_000, 10)] == [150]
    assert book.open_at("council", 120) != []


def test_closed_before_when_an_end_is_not_known_then_is_left_out(book):
    book.keep(replace(episode(1, closed_ns=150), outcome=None), 10)
    assert book.closed_before("council", 1_000, 10) == []
    assert book.open_at("council", 1_000) == []


def test_drop_when_kept_or_not_then_it_is_gone(book):
    for number in (1, 2):
        book.keep(episode(number), 10)
    book.keep(episode(1, strategy="other"), 10)
    book.drop(episode(1))
    book.drop(episode(7))
    assert [e.episode_id for e in book.open_at("council", 1_000)] == ["e2"]
    assert len(book.open_at("other", 1_000)) == 1


def changed(**values):
    return lambda state: json.dumps({**json.loads(state), **values})


def without(name):
    return lambda state: json.dumps({key: value for key, value in json.loads(state).items() if key != name})


def read_after(store_url, change):
    """Keep two closed episodes, change the row of the first, and read them as the next session does."""
    said = []
    with Store(store_url) as store:
        book = SqlEpisodeBook(store.database, "paper", said.append)
        for number in (1, 2):
            book.keep(episode(number, closed_ns=250), 10)
        state = json.dumps({**json.loads(state_of(store)), "features": [0.25, None, -1e-9]})
        with store.database.writing() as connection:
            connection.execute(update(episodes).where(episodes.c.episode_id == "e1").values(state=change(state)))
        found = book.closed_before("council", 1_000, 10)
        assert len(book.open_at("council", 220)) == len(found)
        assert book.skipped == 2 * (2 - len(found))
    return found, said


def state_of(store):
    with store.database.reading() as connection:
        return connection.execute(episodes.select().where(episodes.c.episode_id == "e1")).mappings().one()["state"]


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state[:40],
        lambda _: "[]",
        lambda _: "null",
        changed(features=None),
        changed(features=[1e400]),
        changed(views=[["hedge", 2, 0.5]]),
        changed(views=[["hedge"]]),
        changed(outcome=5),
        changed(outcome="won"),
        changed(closed_ns="1"),
        changed(confidence=None),
        changed(side=0),
        changed(version=2),
        without("regime"),
    ],
)
def test_episodes_when_a_row_is_damaged_or_of_a_later_release_then_it_is_passed_over_and_said(store_url, change):
    found, said = read_after(store_url, change)
    assert [e.episode_id for e in found] == ["e2"]
    assert len(said) == 2  # once for each reading
    assert said[0].startswith("1 of 2 episodes of council on account 'paper' were passed over; the first: ")


@pytest.mark.parametrize("change", [without("held_bars"), without("lesson"), without("version"), changed(later=1)])
def test_episodes_when_a_row_is_of_another_release_and_means_the_same_then_it_is_read(store_url, change):
    found, said = read_after(store_url, change)
    assert [e.episode_id for e in found] == ["e1", "e2"]
    assert said == []


def test_keep_when_a_feature_is_infinite_then_it_comes_back_unknown(book):
    book.keep(replace(episode(1, closed_ns=150), features=(math.inf, 1.0)), 10)
    (found,) = book.closed_before("council", 151, 10)
    assert math.isnan(found.features[0])


def test_keep_when_more_than_the_limit_then_the_oldest_go(book):
    for number in range(8):
        book.keep(episode(number, closed_ns=number * 100 + 1), 3)
    book.keep(episode(0, closed_ns=1, strategy="other"), 3)
    assert [e.episode_id for e in book.closed_before("council", 10**6, 10)] == ["e5", "e6", "e7"]
    assert len(book.closed_before("other", 10**6, 10)) == 1
    with pytest.raises(UsageError, match="limit of episodes was 0"):
        book.keep(episode(1), 0)
