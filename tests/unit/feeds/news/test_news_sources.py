"""The sources of news against a local server: who asks, how often, what is kept, and what happens when one is down."""

import gzip
import json
import math
import tracemalloc
from collections import deque
from datetime import UTC, datetime, timedelta

import pytest

from fakes.news_server import IDENTITY, NewsServer, submission
from sovereign.core.errors import ConfigurationError
from sovereign.core.news import NoData
from sovereign.core.session import NS_PER_HOUR, to_ns
from sovereign.feeds.news.configuration import NewsSourceConfig
from sovereign.feeds.news.crowd import StockTwits, Yahoo, stocktwits_source, yahoo_source
from sovereign.feeds.news.edgar import Edgar, edgar_source
from sovereign.feeds.news.filing import acceptance_ns

NVIDIA = 1045810
NOW = datetime(2026, 3, 7, 12, 0, tzinfo=UTC)
ACCEPTED = acceptance_ns("20260306161125")


class Watch:
    """Seconds that pass only when somebody sleeps."""

    def __init__(self):
        self.now = 0.0
        self.slept = []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def server():
    with NewsServer() as running:
        yield running


@pytest.fixture
def watch():
    return Watch()


def timing(watch):
    return {"sleep": watch.sleep, "monotonic": watch.monotonic}


OPENED = []


def opened(source):
    """Return a source that is closed when its test is over."""
    OPENED.append(source)
    return source


@pytest.fixture(autouse=True)
def closed():
    yield
    while OPENED:
        OPENED.pop().close()


def now_ns():
    return to_ns(NOW)


def edgar(server, tmp_path, watch, **changes):
    config = server.config(tmp_path, **changes)
    return Edgar(opened(edgar_source(config, **timing(watch))), config, now_ns)


class TestEdgar:
    @pytest.fixture(autouse=True)
    def filed(self, server):
        server.filings["0001-26-1"] = submission("0001-26-1", "20260306161125", "Profit improved", ("Other Events",))
        server.filings["0001-26-0"] = submission("0001-26-0", "20260301161125", "Old", ("Other Events",))
        server.filings["0001-26-2"] = submission("0001-26-2", "20260306170000", "Annual report", form="10-K")

    def test_filings_when_asked_for_two_days_then_those_accepted_in_them_of_the_forms_wanted(self, server, tmp_path, watch):
        found = edgar(server, tmp_path, watch).filings(NVIDIA, now_ns() - 48 * NS_PER_HOUR, now_ns())
        assert [(one.accession, one.known_ns) for one in found] == [("0001-26-1", ACCEPTED)]
        assert all(headers["User-Agent"] == IDENTITY for _, headers in server.requests)
        assert server.requests[0][0] == "/submissions/CIK0001045810.json"
        assert server.requests[1][0] == "/Archives/edgar/data/1045810/0001261/0001-26-1.txt"

    def test_filings_when_the_moment_is_before_acceptance_then_not_known_yet(self, server, tmp_path, watch):
        # EDGAR's own list says 16:11Z, which would be five hours too early.
        source = edgar(server, tmp_path, watch)
        assert source.filings(NVIDIA, ACCEPTED - 48 * NS_PER_HOUR, ACCEPTED - 1) == ()
        assert len(source.filings(NVIDIA, ACCEPTED - 48 * NS_PER_HOUR, ACCEPTED)) == 1

    def test_filings_when_read_before_then_not_asked_for_again(self, server, tmp_path, watch):
        for _ in range(2):  # the second one is another process
            edgar(server, tmp_path, watch).filings(NVIDIA, now_ns() - 48 * NS_PER_HOUR, now_ns())
        assert server.asked("/Archives/") == 1
        assert server.asked("/submissions/") == 2

    def test_filings_when_read_then_they_lie_on_disk_and_not_in_memory_as_well(self, server, tmp_path, watch):
        source = edgar(server, tmp_path, watch)
        assert len(source.filings(NVIDIA, now_ns() - 48 * NS_PER_HOUR, now_ns())) == 1
        assert source._source._kept == {}

    def test_requests_when_many_then_no_oftener_than_allowed(self, server, tmp_path, watch):
        source = edgar(server, tmp_path, watch, edgar_per_s=4.0)
        for _ in range(3):
            source.filings(NVIDIA, 0, 1)
        assert watch.slept == [pytest.approx(0.25)] * 2

    def test_filings_when_edgar_is_down_then_no_data_with_the_reason(self, server, tmp_path, watch):
        server.faults["/submissions/"] = deque([503, 503, 503])
        found = edgar(server, tmp_path, watch).filings(NVIDIA, 0, now_ns())
        assert isinstance(found, NoData)
        assert "503" in found.reason

    def test_filings_when_edgar_answers_nonsense_then_no_data(self, server, tmp_path, watch):
        server.faults["/submissions/"] = deque(["broken"])
        assert isinstance(edgar(server, tmp_path, watch).filings(NVIDIA, 0, now_ns()), NoData)

    def test_filings_when_one_submission_cannot_be_read_then_set_aside_and_the_others_come(self, server, tmp_path, watch):
        server.filings["0001-26-3"] = submission("0001-26-3", "20260306180000", "x")
        broken = server.filings["0001-26-3"].replace("<ACCEPTANCE-DATETIME>20260306180000", "")
        source = edgar(server, tmp_path, watch)
        source._source.get = lambda url, get=source._source.get, **_: broken.encode() if "0001-26-3" in url else get(url)
        found = source.filings(NVIDIA, now_ns() - 48 * NS_PER_HOUR, now_ns())
        assert [one.accession for one in found] == ["0001-26-1"]
        assert "no acceptance time" in source.set_aside[0]

    @pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", "", "0001-26-1/../x", "0" * 40, None, 7, ["0001-26-1"]])
    def test_filings_when_the_list_names_what_is_no_accession_number_then_no_data_and_no_file(
        self, server, tmp_path, watch, name
    ):
        recent = {"form": ["8-K"], "filingDate": ["2026-03-06"], "accessionNumber": [name]}
        server.say(json.dumps({"filings": {"recent": recent}}).encode())
        found = edgar(server, tmp_path / "kept", watch).filings(NVIDIA, now_ns() - 48 * NS_PER_HOUR, now_ns())
        assert isinstance(found, NoData)
        assert server.asked("/Archives/") == 0
        assert list(tmp_path.rglob("*")) == []

    def test_filings_when_the_submission_is_another_one_then_set_aside(self, server, tmp_path, watch):
        server.filings["0001-26-3"] = submission("0001-26-9", "20260306180000", "x")
        source = edgar(server, tmp_path, watch)
        found = source.filings(NVIDIA, now_ns() - 48 * NS_PER_HOUR, now_ns())
        assert [one.accession for one in found] == ["0001-26-1"]
        assert "calls itself '0001-26-9'" in source.set_aside[0]

    def test_filings_when_the_one_that_was_kept_cannot_be_read_then_asked_for_again(self, server, tmp_path, watch):
        edgar(server, tmp_path, watch).filings(NVIDIA, now_ns() - 48 * NS_PER_HOUR, now_ns())
        (kept,) = tmp_path.glob("*.gz")
        whole = kept.read_bytes()
        for broken in (b"", b"no gzip", whole[:40]):
            kept.write_bytes(broken)
            found = edgar(server, tmp_path, watch).filings(NVIDIA, now_ns() - 48 * NS_PER_HOUR, now_ns())
            assert [one.accession for one in found] == ["0001-26-1"]
            assert kept.read_bytes() == whole

    def test_filings_when_they_cannot_be_kept_then_told_all_the_same(self, server, tmp_path, watch):
        (tmp_path / "kept").write_text("a file where the folder should be")
        found = edgar(server, tmp_path / "kept", watch).filings(NVIDIA, now_ns() - 48 * NS_PER_HOUR, now_ns())
        assert [one.accession for one in found] == ["0001-26-1"]

    def test_source_when_nobody_is_named_then_refused(self):
        with pytest.raises(ConfigurationError, match="name and a mail address"):
            edgar_source(NewsSourceConfig())


class TestYahoo:
    def make(self, server, tmp_path, watch, now=now_ns):
        config = server.config(tmp_path)
        return Yahoo(opened(yahoo_source(config, **timing(watch))), config, now)

    def test_headlines_when_fetched_then_known_from_first_sight_on(self, server, tmp_path, watch):
        server.headlines.append(("Profits <soar> & rise", NOW - timedelta(hours=2)))
        (one,) = self.make(server, tmp_path, watch).headlines("NVDA")
        assert one.title == "Profits <soar> & rise"
        assert one.published_ns == to_ns(NOW - timedelta(hours=2))
        assert one.known_ns == now_ns()

    def test_headlines_when_asked_again_then_first_sight_stands_and_an_unchanged_feed_is_not_sent(
        self, server, tmp_path, watch
    ):
        server.headlines.append(("One", NOW - timedelta(hours=2)))
        moments = iter([now_ns(), now_ns() + 5, now_ns() + 9])
        source = self.make(server, tmp_path, watch, lambda: next(moments))
        assert source.headlines("NVDA")[0].known_ns == now_ns()
        assert source.headlines("NVDA")[0].known_ns == now_ns()
        assert server.unchanged == 1

    @pytest.mark.parametrize("fault", ["broken", 404, 500])
    def test_headlines_when_yahoo_fails_then_no_data(self, server, tmp_path, watch, fault):
        server.faults["/rss/"] = deque([fault] * 3)
        assert isinstance(self.make(server, tmp_path, watch).headlines("NVDA"), NoData)

    def test_headlines_when_the_feed_declares_entities_then_no_data(self, server, tmp_path, watch):
        source = self.make(server, tmp_path, watch)
        source._source.get = lambda _: b'<!DOCTYPE x [<!ENTITY a "aaaa">]><rss/>'
        found = source.headlines("NVDA")
        assert isinstance(found, NoData)
        assert "entities" in found.reason

    @pytest.mark.parametrize("date", ["", "Fri, 06 Mar 2026 00:00:00 -0000", "Fri, 31 Dec 9999 23:59:59 -2300", "\x1b[31m<b>"])
    def test_headlines_when_a_date_cannot_be_then_no_data_in_words_fit_for_a_screen(self, server, tmp_path, watch, date):
        shown = date.replace("\x1b", "").replace("<", "&lt;")
        server.say(f"<rss><channel><item><title>x</title><pubDate>{shown}</pubDate></item></channel></rss>".encode())
        found = self.make(server, tmp_path, watch).headlines("NVDA")
        assert isinstance(found, NoData)
        assert found.reason.isprintable()


class TestStockTwits:
    def make(self, server, tmp_path, watch, **changes):
        config = server.config(tmp_path, **changes)
        return StockTwits(opened(stocktwits_source(config, **timing(watch))), config, now_ns)

    def test_posts_when_fetched_then_each_once_with_the_authors_mark(self, server, tmp_path, watch):
        server.post(2, "to the moon", NOW, label="Bullish")
        server.post(1, "sell", NOW - timedelta(minutes=1), label="Bearish")
        server.post(2, "to the moon", NOW, label="Bullish")
        found = self.make(server, tmp_path, watch).posts("NVDA")
        assert [(one.post_id, one.label, one.author) for one in found] == [(1, -1, "user1"), (2, 1, "user2")]
        assert found[1].known_ns == to_ns(NOW)

    def test_posts_when_busy_then_it_waits_as_asked(self, server, tmp_path, watch):
        server.faults["/api/"] = deque([429])
        assert self.make(server, tmp_path, watch).posts("NVDA") == ()
        assert watch.slept == [3.0]

    def test_posts_when_asked_often_then_ten_minutes_worth_at_once_and_the_rest_spaced(self, server, tmp_path, watch):
        source = self.make(server, tmp_path, watch, stocktwits_per_hour=60)
        for _ in range(12):
            source.posts("NVDA")
        assert watch.slept == [pytest.approx(60), pytest.approx(60)]

    def test_posts_when_nobody_answers_then_no_data(self, tmp_path, watch):
        config = NewsSourceConfig(stocktwits_url="http://127.0.0.1:9", folder=tmp_path, attempts=1)
        found = StockTwits(opened(stocktwits_source(config, **timing(watch))), config, now_ns).posts("NVDA")
        assert isinstance(found, NoData)

    @pytest.mark.parametrize(
        "changes",
        [
            {"id": math.inf},
            {"id": None},
            {"entities": "x"},
            {"user": [1]},
            {"created_at": "2026-03-07T11:00:00"},
            {"created_at": "9999-12-31T23:59:59-23:00"},
            {"created_at": "\x1b[31m<script>" + "A" * 100_000},
        ],
    )
    def test_posts_when_one_is_of_another_shape_then_no_data_in_a_line_fit_for_a_screen(self, server, tmp_path, watch, changes):
        message = {"id": 1, "body": "x", "created_at": "2026-03-07T11:00:00Z", "user": {"id": 1}, **changes}
        server.say(json.dumps({"messages": [message]}).encode())
        found = self.make(server, tmp_path, watch).posts("NVDA")
        assert isinstance(found, NoData)
        assert found.reason.isprintable()
        assert len(found.reason) < 300

    @pytest.mark.parametrize("body", [b"[]", b"7", b'{"messages":[1]}', b'{"messages":null}', b"[" * 200_000, b"\xff\xfe"])
    def test_posts_when_the_answer_is_of_another_shape_then_no_data(self, server, tmp_path, watch, body):
        server.say(body)
        assert isinstance(self.make(server, tmp_path, watch).posts("NVDA"), NoData)

    @pytest.mark.parametrize("wait", ["999999999", "61"])
    def test_posts_when_asked_to_wait_for_long_then_no_data_and_no_waiting(self, server, tmp_path, watch, wait):
        server.say(b"", {"Retry-After": wait}, 429)
        found = self.make(server, tmp_path, watch).posts("NVDA")
        assert isinstance(found, NoData)
        assert "asked to wait" in found.reason
        assert watch.slept == []

    @pytest.mark.parametrize("wait", ["\u00b2", "1e9", "-1", "soon"])
    def test_posts_when_the_wait_is_no_number_of_seconds_then_as_without_one(self, server, tmp_path, watch, wait):
        server.say(b"", {"Retry-After": wait}, 429)
        assert isinstance(self.make(server, tmp_path, watch).posts("NVDA"), NoData)
        assert watch.slept == [0.0, 0.0]

    def test_posts_when_redirected_then_nobody_else_is_asked(self, server, tmp_path, watch):
        server.say(b"", {"Location": f"{server.address}/elsewhere"}, 302)
        assert isinstance(self.make(server, tmp_path, watch).posts("NVDA"), NoData)
        assert server.asked("/elsewhere") == 0

    def test_answer_when_some_kilobytes_unpack_to_many_megabytes_then_no_data_and_little_memory(self, server, tmp_path, watch):
        server.say(gzip.compress(bytes(200_000_000), 1), {"Content-Encoding": "gzip"})
        source = self.make(server, tmp_path, watch, max_answer_mb=1.0)
        tracemalloc.start()
        try:
            assert isinstance(source.posts("NVDA"), NoData)
            assert tracemalloc.get_traced_memory()[1] < 20_000_000
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize("packing", ["zstd", "br", "deflate", "gzip, gzip"])
    def test_answer_when_packed_in_a_way_nobody_asked_for_then_no_data(self, server, tmp_path, watch, packing):
        server.say(b"{}", {"Content-Encoding": packing})
        assert isinstance(self.make(server, tmp_path, watch).posts("NVDA"), NoData)
        assert all(headers["Accept-Encoding"] == "gzip" for _, headers in server.requests)

    def test_answer_when_packed_with_gzip_then_read_and_when_it_breaks_off_no_data(self, server, tmp_path, watch):
        packed = gzip.compress(b'{"messages":[]}')
        server.say(packed, {"Content-Encoding": "gzip"})
        assert self.make(server, tmp_path, watch).posts("NVDA") == ()
        for broken in (packed[:-9], b"no gzip"):
            server.say(broken, {"Content-Encoding": "gzip"})
            assert isinstance(self.make(server, tmp_path, watch).posts("NVDA"), NoData)

    def test_answer_when_it_comes_piece_by_piece_then_given_up_in_time(self, server, tmp_path, watch):
        server.say(bytes(3_000_000))
        source = self.make(server, tmp_path, watch)
        clock = iter(range(1_000))
        source._source._monotonic = lambda: float(3 * next(clock))  # every piece takes three seconds, allowed are five
        found = source.posts("NVDA")
        assert isinstance(found, NoData)
        assert "did not finish" in found.reason

    def test_answer_when_longer_than_allowed_then_no_data(self, server, tmp_path, watch):
        server.post(1, "x" * 5_000, NOW)
        assert isinstance(self.make(server, tmp_path, watch, max_answer_mb=0.001).posts("NVDA"), NoData)
