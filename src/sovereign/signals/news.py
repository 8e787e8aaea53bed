"""News of one symbol at one moment: is what the crowd says real, and what tone do filings, headlines and posts have.

The filter adds log-odds. Posts begin at 0.65; a current report accepted within the last two days raises them to 0.90; a phrase
that ten or more distinct posts share within a day while nothing else is known lowers them to 0.15. Without any post the same
report gives 0.65 and silence 0.40. A source that is down is no data: it leaves the probability unknown, never in the middle.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import Field

from sovereign.core.configuration import Configuration
from sovereign.core.news import Filing, Headline, NewsReading, NoData, PhraseCluster, Post
from sovereign.core.session import NS_PER_HOUR
from sovereign.signals.lexicon import OWN, Lexicon
from sovereign.signals.sentiment import Tone, tone_of


class NewsConfig(Configuration):
    """The filter of social posts and the tone of news."""

    base_log_odds: float = Field(
        0.619, description="Log-odds that posts are real when nothing else is known: 0.65. Source: the system's description."
    )
    filing_log_odds: float = Field(
        1.578, description="Added when a current report is active: 0.65 becomes 0.90. Source: the system's description."
    )
    duplicate_log_odds: float = Field(
        -2.354, description="Added when posts share a phrase: 0.65 becomes 0.15. Source: the system's description."
    )
    silence_log_odds: float = Field(
        -0.405, description="Log-odds without any post and without a report: 0.40. Source: as above."
    )
    filing_alone_log_odds: float = Field(
        1.024, description="Added to silence_log_odds when a report is active and nobody posts: 0.65. Source: as above."
    )
    accept_probability: float = Field(0.5, ge=0, le=1, description="What is above it is accepted. Source: as above.")
    filing_active_h: float = Field(48.0, gt=0, description="A report is active this long after its acceptance, in hours.")
    posts_h: float = Field(24.0, gt=0, description="Posts count this long, in hours.")
    phrase_words: int = Field(4, ge=2, description="Words of a phrase. Source: the system's description.")
    phrase_word_letters: int = Field(3, ge=1, description="Shorter words are no part of a phrase. Source: as above.")
    duplicate_posts: int = Field(10, ge=2, description="Distinct posts that must share a phrase. Source: as above.")
    min_authors: int = Field(
        5,
        ge=1,
        description="Posts of fewer authors are no crowd, and their tone is unknown: one person must not close a position. Own "
        "choice.",
    )
    headlines_h: float = Field(
        24.0, gt=0, description="Headlines count this long after their publication, once they were seen, in hours."
    )
    lexicon: Path | None = Field(
        None, description="CSV with Word, Positive and Negative (Loughran-McDonald format) in place of our own words."
    )
    prior_words: float = Field(
        4.0, ge=0, description="Words without tone added to each text, so that few words weigh little. Own choice."
    )
    negation_words: int = Field(
        3, ge=0, description="A negation this many words before a positive word turns it. Source: Loughran and McDonald 2011."
    )
    filing_weight: float = Field(
        3.0, ge=0, description="Weight of the filings' tone in that of the news, which institutions trade on. Own choice."
    )
    headline_weight: float = Field(2.0, ge=0, description="Weight of the headlines' tone in that of the news. Own choice.")
    post_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of accepted posts' tone in that of the news; the crowd's mood is theirs anyway. Own choice.",
    )


T = TypeVar("T", Filing, Headline, Post)
_NOISE = re.compile(r"https?://\S+|[$@#][\w.]+")
_FIRST_ITEM = re.compile(r"\bitem\s+\d\.\d\d\b", re.IGNORECASE)
_LETTERS = re.compile(r"[a-z]+")


def without_cover(text: str) -> str:
    """Return a filing from its first item on; the form's cover page has a tone of its own ("emerging growth company")."""
    found = _FIRST_ITEM.search(text)
    return text if found is None else text[found.start() :]


def words_of(body: str, letters: int) -> list[str]:
    """Return the words of a post as a phrase counts them: one spelling, no links, no names, no short words."""
    plain = unicodedata.normalize("NFKD", body)
    plain = "".join(letter for letter in plain if unicodedata.category(letter) not in ("Cf", "Mn"))
    return [word for word in _LETTERS.findall(_NOISE.sub(" ", plain.lower())) if len(word) >= letters]


def phrase_clusters(posts: Sequence[Post], config: NewsConfig) -> tuple[PhraseCluster, ...]:
    """Return the phrases that at least `duplicate_posts` distinct posts share, most shared first.

    Overlapping phrases of the same posts are told once.
    """
    by_phrase: dict[str, set[int]] = {}
    by_id = {post.post_id: post for post in posts}
    for post in by_id.values():
        words = words_of(post.body, config.phrase_word_letters)
        for start in range(len(words) - config.phrase_words + 1):
            by_phrase.setdefault(" ".join(words[start : start + config.phrase_words]), set()).add(post.post_id)
    shared = [(phrase, ids) for phrase, ids in by_phrase.items() if len(ids) >= config.duplicate_posts]
    shared.sort(key=lambda entry: (-len(entry[1]), entry[0]))
    kept: list[PhraseCluster] = []
    told: list[set[int]] = []
    for phrase, ids in shared:
        if not any(ids <= earlier for earlier in told):
            told.append(ids)
            authors = len({by_id[number].author for number in ids})
            kept.append(PhraseCluster(phrase=phrase, post_ids=tuple(sorted(ids)), authors=authors))
    return tuple(kept)


class NewsFilter:
    """Reads the news of a symbol.

    Parameters
    ----------
    lexicon : the words with a tone.
    """

    def __init__(self, config: NewsConfig, lexicon: Lexicon = OWN) -> None:
        self._config, self._lexicon = config, lexicon

    def read(
        self,
        symbol: str,
        ts: int,
        filings: Sequence[Filing] | NoData,
        headlines: Sequence[Headline] | NoData,
        posts: Sequence[Post] | NoData,
    ) -> NewsReading:
        """Return what was known at `ts` (UTC ns); whatever is newer is not looked at."""
        config = self._config
        missing = {source.source: source.reason for source in (filings, headlines, posts) if isinstance(source, NoData)}
        active = _recent(filings, ts, config.filing_active_h)
        told = _published(_recent(headlines, ts, config.headlines_h), ts, config.headlines_h)
        said = _distinct(_recent(posts, ts, config.posts_h))
        clusters = phrase_clusters(said or (), config)
        terms = self._terms(active, said, clusters)
        probability = math.nan if terms is None else 1 / (1 + math.exp(-sum(terms.values())))
        is_accepted = probability > config.accept_probability  # unknown is not accepted
        tones = {
            "filing": self._mean([self._tone(without_cover(filing.text)).value for filing in active or ()]),
            "headline": self._mean([self._tone(headline.title).value for headline in told or ()]),
            "post": self._mean([self._post_tone(post) for post in said]) if said and self._is_crowd(said) else math.nan,
        }
        weights = {
            "filing": config.filing_weight,
            "headline": config.headline_weight,
            "post": config.post_weight if is_accepted else 0.0,
        }
        return NewsReading(
            symbol=symbol,
            ts=ts,
            probability=probability,
            is_accepted=is_accepted,
            terms=terms or {},
            clusters=clusters,
            posts=len(said or ()),
            authors=len({post.author for post in said or ()}),
            filings=tuple(filing.accession for filing in active or ()),
            items=tuple(sorted({item for filing in active or () for item in filing.items})),
            headlines=len(told or ()),
            tone=_weighted(tones, weights),
            filing_tone=tones["filing"],
            headline_tone=tones["headline"],
            post_tone=tones["post"],
            missing=missing,
        )

    def _terms(
        self, active: Sequence[Filing] | None, said: Sequence[Post] | None, clusters: Sequence[PhraseCluster]
    ) -> dict[str, float] | None:
        if active is None or said is None:
            return None
        config = self._config
        if not said:
            terms = {"silence": config.silence_log_odds}
            return terms | ({"filing": config.filing_alone_log_odds} if active else {})
        terms = {"posts": config.base_log_odds}
        if active:
            terms["filing"] = config.filing_log_odds
        if clusters:
            terms["duplicates"] = config.duplicate_log_odds
        return terms

    def _tone(self, text: str) -> Tone:
        config = self._config
        return tone_of(text, self._lexicon, prior_words=config.prior_words, negation_words=config.negation_words)

    def _is_crowd(self, said: Sequence[Post]) -> bool:
        return len({post.author for post in said}) >= self._config.min_authors

    def _post_tone(self, post: Post) -> float:
        # What its author marked is worth more than words counted in a sentence.
        return float(post.label) if post.label else self._tone(post.body).value

    @staticmethod
    def _mean(values: Sequence[float]) -> float:
        known = [value for value in values if not math.isnan(value)]
        return sum(known) / len(known) if known else math.nan


def _recent(found: Sequence[T] | NoData, ts: int, hours: float) -> Sequence[T] | None:
    if isinstance(found, NoData):
        return None
    start = ts - hours * NS_PER_HOUR
    return [one for one in found if one.known_ns is not None and start < one.known_ns <= ts]


def _published(headlines: Sequence[Headline] | None, ts: int, hours: float) -> Sequence[Headline] | None:
    # A scout that has just begun sees for the first time what has been in the feed for days: that is no news.
    start = ts - hours * NS_PER_HOUR
    return None if headlines is None else [one for one in headlines if one.published_ns > start]


def _distinct(posts: Sequence[Post] | None) -> Sequence[Post] | None:
    return None if posts is None else list({post.post_id: post for post in posts}.values())


def _weighted(tones: Mapping[str, float], weights: Mapping[str, float]) -> float:
    known = {name: weights[name] for name, tone in tones.items() if not math.isnan(tone)}
    total = sum(known.values())
    return sum(tones[name] * weight for name, weight in known.items()) / total if total else math.nan
