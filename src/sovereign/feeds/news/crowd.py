"""Headlines from Yahoo and posts from StockTwits."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from xml.etree import ElementTree

from sovereign.core.news import Headline, NoData, Post
from sovereign.core.session import to_ns
from sovereign.feeds.news.configuration import NewsSourceConfig
from sovereign.feeds.news.source import STRANGE, Source, SourceDownError, said

YAHOO, STOCKTWITS = "Yahoo", "StockTwits"
_AGENT = {"User-Agent": "sovereign"}
_LABELS = {"Bullish": 1, "Bearish": -1}


class Yahoo:
    """Headlines of a symbol.

    Parameters
    ----------
    now_ns : the present, UTC ns: a headline is known from its first sight on.
    """

    def __init__(self, source: Source, config: NewsSourceConfig, now_ns: Callable[[], int]) -> None:
        self._source, self._config, self._now_ns = source, config, now_ns
        self._first_seen: dict[str, int] = {}

    def headlines(self, symbol: str) -> tuple[Headline, ...] | NoData:
        """Return the headlines that the feed holds now, oldest first, or why nothing is known."""
        try:
            body = self._source.get(f"{self._config.yahoo_url}/rss/2.0/headline?s={symbol}&region=US&lang=en-US")
            now = self._now_ns()
            found = [self._headline(item, now) for item in _tree(body).iter("item")]
        except SourceDownError as fault:
            return NoData(source=YAHOO, reason=str(fault), ts=self._now_ns())
        except STRANGE as fault:
            return NoData(source=YAHOO, reason=f"the feed of {symbol} was not understood ({said(fault)})", ts=self._now_ns())
        return tuple(sorted(found, key=lambda headline: headline.known_ns))

    def _headline(self, item: ElementTree.Element, now: int) -> Headline:
        published = to_ns(parsedate_to_datetime(item.findtext("pubDate") or ""))
        title = (item.findtext("title") or "").strip()
        name = item.findtext("guid") or item.findtext("link") or title
        seen = self._first_seen.setdefault(name, now)
        return Headline(source=YAHOO, headline_id=name, title=title, published_ns=published, known_ns=max(published, seen))


class StockTwits:
    """Posts about a symbol."""

    def __init__(self, source: Source, config: NewsSourceConfig, now_ns: Callable[[], int]) -> None:
        self._source, self._config, self._now_ns = source, config, now_ns

    def posts(self, symbol: str) -> tuple[Post, ...] | NoData:
        """Return the posts that the stream holds now, each once, oldest first, or why nothing is known."""
        try:
            body = json.loads(self._source.get(f"{self._config.stocktwits_url}/api/2/streams/symbol/{symbol}.json"))
            found = {post.post_id: post for post in map(_post, body["messages"])}
        except SourceDownError as fault:
            return NoData(source=STOCKTWITS, reason=str(fault), ts=self._now_ns())
        except STRANGE as fault:
            text = f"the stream of {symbol} was not understood ({said(fault)})"
            return NoData(source=STOCKTWITS, reason=text, ts=self._now_ns())
        return tuple(sorted(found.values(), key=lambda post: (post.known_ns, post.post_id)))


def _tree(body: bytes) -> ElementTree.Element:
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise ValueError("it declares entities, which no feed needs")
    return ElementTree.fromstring(body)  # noqa: S314 - entities were refused above


def _post(message: dict[str, Any]) -> Post:
    mark = ((message.get("entities") or {}).get("sentiment") or {}).get("basic")
    return Post(
        post_id=int(message["id"]),
        author=str((message.get("user") or {}).get("username") or (message.get("user") or {}).get("id") or ""),
        body=str(message["body"]),
        known_ns=to_ns(datetime.fromisoformat(str(message["created_at"]).replace("Z", "+00:00"))),
        label=_LABELS.get(str(mark), 0),
    )


def yahoo_source(config: NewsSourceConfig, **timing: Callable[..., float | None]) -> Source:
    """Return the source of headlines."""
    return Source(YAHOO, config, 2.0, _AGENT, **timing)  # type: ignore[arg-type]


def stocktwits_source(config: NewsSourceConfig, **timing: Callable[..., float | None]) -> Source:
    """Return the source of posts."""
    burst = max(1, round(config.stocktwits_per_hour / 6))
    return Source(STOCKTWITS, config, config.stocktwits_per_hour / 3_600, _AGENT, burst=burst, **timing)  # type: ignore[arg-type]
