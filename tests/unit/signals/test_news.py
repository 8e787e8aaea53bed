"""Words with a tone, and the filter of posts: the table of the system's description, and what a crowd may try."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.core.errors import DataError, NotFoundError
from sovereign.core.news import Filing, Headline, NoData, Post
from sovereign.core.session import NS_PER_HOUR, to_ns
from sovereign.signals.lexicon import NEGATIVE, OWN, POSITIVE, Lexicon, read_lexicon
from sovereign.signals.news import NewsConfig, NewsFilter, phrase_clusters
from sovereign.signals.sentiment import tone_of

NOW = to_ns(datetime(2026, 3, 7, 12, 0, tzinfo=UTC))
CONFIG = NewsConfig()


def post(number, body="just some words about nothing", hours=1.0, author=None, label=0):
    return Post(
        post_id=number, author=author or f"u{number}", body=body, known_ns=NOW - round(hours * NS_PER_HOUR), label=label
    )


def filing(hours=1.0, text="Item 2.02 Results improved strongly"):
    return Filing(
        accession="a",
        cik=1,
        company="c",
        form="8-K",
        items=("2.02",),
        known_ns=NOW - round(hours * NS_PER_HOUR),
        text=text,
    )


def bodies(count, shared="everyone should load the boat"):
    return [post(number, f"{'abcdefghij'[number % 10] * 5} {shared}") for number in range(count)]


def read(filings=(), headlines=(), posts=(), config=CONFIG):
    return NewsFilter(config).read("NVDA", NOW, filings, headlines, posts)


def down(source):
    return NoData(source=source, reason="down", ts=NOW)


class TestTable:
    """Probabilities of the description: .90 with a report, .65 without, .15 for duplicates, .65 and .40 without posts."""

    @pytest.mark.parametrize(
        ("filings", "posts", "expected"),
        [
            ([filing()], [post(1)], 0.90),
            ([], [post(1)], 0.65),
            ([], bodies(10), 0.15),
            ([filing()], [], 0.65),
            ([], [], 0.40),
        ],
    )
    def test_probability_when_the_case_is_of_the_table_then_as_it_says(self, filings, posts, expected):
        assert read(filings, (), posts).probability == pytest.approx(expected, abs=0.001)

    def test_probability_when_posts_are_copied_and_a_report_is_active_then_both_are_added(self):
        found = read([filing()], (), bodies(10))
        assert found.terms == {"posts": 0.619, "filing": 1.578, "duplicates": -2.354}
        assert found.probability == pytest.approx(1 / (1 + math.exp(0.157)))
        assert not found.is_accepted


class TestReports:
    @pytest.mark.parametrize(("hours", "is_active"), [(47.9, True), (48.0, False), (-0.1, False)])
    def test_report_when_older_than_two_days_or_of_the_future_then_not_active(self, hours, is_active):
        assert ("filing" in read([filing(hours)], (), [post(1)]).terms) is is_active

    def test_report_when_its_acceptance_is_unknown_then_not_active_at_any_time(self):
        unknown = Filing(accession="a", cik=1, company="c", form="8-K", items=(), known_ns=None, text="gain")
        assert read([unknown], (), [post(1)]).filings == ()

    def test_tone_when_a_report_is_read_then_of_its_words_and_not_of_its_cover(self):
        found = read([filing(text="emerging growth company growth Item 2.02 losses and a lawsuit")])
        assert found.filing_tone < 0


class TestNoData:
    def test_probability_when_posts_are_not_known_then_unknown_and_not_accepted(self):
        found = read([filing()], (), down("StockTwits"))
        assert not found.is_known
        assert not found.is_accepted
        assert found.missing == {"StockTwits": "down"}
        assert found.filing_tone > 0  # what is known stays known

    def test_probability_when_reports_are_not_known_then_unknown(self):
        assert not read(down("EDGAR"), (), [post(1)]).is_known

    def test_tone_when_all_sources_are_down_then_unknown_and_not_neutral(self):
        found = read(down("EDGAR"), down("Yahoo"), down("StockTwits"))
        assert math.isnan(found.tone)
        assert len(found.missing) == 3

    def test_tone_when_posts_are_discarded_then_they_do_not_count(self):
        headline = Headline(source="Yahoo", headline_id="1", title="Lawsuit over fraud", published_ns=NOW, known_ns=NOW)
        found = read([], [headline], bodies(10, "moon rally soaring bullish"))
        assert found.post_tone > 0
        assert found.tone == found.headline_tone < 0


class TestHeadlines:
    @pytest.mark.parametrize(
        ("published_h", "seen_h", "counts"),
        [
            (1.0, 0.5, 1),
            (23.9, 0.0, 1),
            (24.0, 0.0, 0),  # in the feed for a day already when the scout began
            (120.0, 0.0, 0),
            (1.0, -0.1, 0),  # not seen yet
        ],
    )
    def test_headline_when_it_was_in_the_feed_for_days_then_its_first_sight_makes_it_no_news(self, published_h, seen_h, counts):
        published, seen = (NOW - round(hours * NS_PER_HOUR) for hours in (published_h, seen_h))
        found = read([], [Headline(source="y", headline_id="1", title="profit", published_ns=published, known_ns=seen)])
        assert found.headlines == counts
        assert math.isnan(found.headline_tone) is (counts == 0)


class TestClusters:
    def test_duplicates_when_one_post_repeats_itself_then_it_is_one_post(self):
        shouting = post(1, " ".join(["load the boat everyone now"] * 40))
        assert phrase_clusters([shouting, post(2)], CONFIG) == ()

    def test_duplicates_when_nine_share_a_phrase_then_not_yet(self):
        assert phrase_clusters(bodies(9), CONFIG) == ()

    def test_duplicates_when_ten_share_a_phrase_then_kept_as_evidence_with_posts_and_authors(self):
        posts = [post(n, f"{'xy' * n} everyone should load the boat", author=f"bot{n % 3}") for n in range(10)]
        (cluster,) = phrase_clusters(posts, CONFIG)
        assert cluster.phrase == "everyone should load the"
        assert cluster.post_ids == tuple(range(10))
        assert cluster.authors == 3

    def test_duplicates_when_the_same_post_is_told_twice_then_counted_once(self):
        assert phrase_clusters([*bodies(9), *bodies(9)], CONFIG) == ()

    @pytest.mark.parametrize(
        "disguise",
        [
            "Everyone SHOULD load THE boat!!!",
            "everyone should, load - the boat",
            "everyone\u200b should lo\u200bad the boat",
            "everyone should load the boat https://x.example/a?b",
            "$NVDA everyone should load the boat @you",
            "ｅｖｅｒｙｏｎｅ should load the boat",
            "e\u0301veryone should load the boat",
        ],
    )
    def test_duplicates_when_disguised_then_still_seen(self, disguise):
        assert phrase_clusters([*bodies(9), post(99, disguise)], CONFIG)

    def test_duplicates_when_old_then_they_do_not_count(self):
        old = [post(n, "everyone should load the boat", hours=25) for n in range(10)]
        assert "duplicates" not in read([], (), [*old, post(99)]).terms

    @given(st.lists(st.text(max_size=60), max_size=30))
    def test_filter_when_people_write_anything_then_it_answers(self, texts):
        found = read([filing()], (), [post(n, text) for n, text in enumerate(texts)])
        assert 0 < found.probability < 1


class TestTone:
    def test_tone_when_words_are_parts_of_others_then_not_counted(self):
        assert tone_of("The counsellor's brain was gainfully employed").positive == 0

    def test_tone_when_counted_then_damped_by_the_prior(self):
        assert tone_of("Profit rose strongly and beat", prior_words=0).value == 1
        assert tone_of("profit beat", prior_words=4).value == pytest.approx(2 / 6)

    @pytest.mark.parametrize("text", ["not profitable", "hasn’t been profitable", "never was it profitable", "no profit"])
    def test_tone_when_a_positive_word_is_negated_then_negative(self, text):
        found = tone_of(text)
        assert (found.positive, found.negative) == (0, 1)

    def test_tone_when_the_negation_is_far_then_the_word_stands(self):
        assert tone_of("not in this or any other year was it profitable").positive == 1

    def test_tone_when_a_post_is_marked_by_its_author_then_the_mark_counts(self):
        assert read([], (), [post(number, "profit", label=-1) for number in range(5)]).post_tone == -1

    @pytest.mark.parametrize(("posts", "authors", "is_known"), [(1, 1, False), (40, 4, False), (5, 5, True), (40, 5, True)])
    def test_tone_of_posts_when_few_people_wrote_them_then_they_are_no_crowd(self, posts, authors, is_known):
        said = [
            post(number, f"bullish {'abcdefghij'[number % 10] * 4}", author=f"a{number % authors}") for number in range(posts)
        ]
        found = read([], (), said, NewsConfig(post_weight=1.0))
        assert found.posts == posts
        assert math.isnan(found.post_tone) is not is_known
        assert math.isnan(found.tone) is not is_known

    def test_own_words_when_compared_then_no_word_has_both_tones(self):
        assert not POSITIVE & NEGATIVE
        assert all(word == word.lower() and word.isalpha() for word in POSITIVE | NEGATIVE)
        assert len(OWN.positive) > 100
        assert len(OWN.negative) > 100


class TestLexicon:
    def test_lexicon_when_in_the_format_of_loughran_and_mcdonald_then_read(self, tmp_path):
        file = tmp_path / "lm.csv"
        rows = ["Word,Seq_num,Negative,Positive,Uncertainty", "ABANDON,1,2009,0,0", "ABLE,2,0,2009,0", "DROPPED,3,-2020,0,0"]
        file.write_text("\n".join(rows))
        assert read_lexicon(file) == Lexicon("lm.csv", frozenset({"able"}), frozenset({"abandon"}))

    def test_lexicon_when_a_column_is_missing_then_said_which(self, tmp_path):
        file = tmp_path / "x.csv"
        file.write_text("Word,Positive\na,1\n")
        with pytest.raises(DataError, match="no column negative"):
            read_lexicon(file)

    def test_lexicon_when_no_word_has_a_tone_then_refused(self, tmp_path):
        file = tmp_path / "x.csv"
        file.write_text("Word,Positive,Negative\na,0,0\n")
        with pytest.raises(DataError, match="no word with a tone"):
            read_lexicon(file)

    def test_lexicon_when_not_there_then_said_so(self, tmp_path):
        with pytest.raises(NotFoundError, match="is not there"):
            read_lexicon(tmp_path / "none.csv")

    @pytest.mark.parametrize(
        "content",
        [b"\xff\xfe\x00\x01", b"Word,Positive,Negative\n" + b"a" * 200_000 + b",1,0\n", b"Positive,Negative,Word\n1,0\n"],
    )
    def test_lexicon_when_it_is_no_list_then_refused_in_our_words(self, tmp_path, content):
        file = tmp_path / "x.csv"
        file.write_bytes(content)
        with pytest.raises(DataError):
            read_lexicon(file)

    @pytest.mark.parametrize("place", [".", "/dev/zero"])
    def test_lexicon_when_the_path_is_no_file_then_said_so_at_once(self, tmp_path, place):
        with pytest.raises(DataError, match="is no file"):
            read_lexicon(tmp_path / place)
