"""Killed again and again while it writes, a session's journal and audit chain are whole and go on where they stood."""

import random
import signal
import subprocess
import sys
from pathlib import Path

from example_live import example_session
from sovereign.store.store import Store

TESTS = Path(__file__).resolve().parents[1]
SESSION = """
import sys
sys.path.insert(0, sys.argv[2])
from example_live import example_order, example_session
from sovereign.core.event import Notice, NoticeCode, Severity
from sovereign.store.configuration import StoreConfig
from sovereign.store.store import Store

def notice(number):
    return Notice(ts=number, code=NoticeCode.DIGEST, severity=Severity.INFO, subject="x", text=str(number))

store = Store(StoreConfig(url=sys.argv[1], audit_batch=3))
store.live.begin_session(example_session("s"))
audit = store.live.audit("s")
journal = store.live.journal("s", audit)
sent = {request.client_order_id for request in store.live.requests("s")}
# The session is a list of inputs; what came before the kill is replayed, and only what was not asked for is asked now.
for number in range(100_000):
    audit(notice(number))
    if number % 5 == 4:
        name = f"o{number}"
        if name not in sent:
            journal.record(example_order(name), "NEW", number)
        if not audit.is_replaying:
            print(number, flush=True)
    if audit.difference is not None:
        sys.exit(f"the replay differs: {audit.difference}")
"""


def test_session_when_killed_at_random_moments_then_nothing_told_is_lost_and_the_chain_is_whole(store_url):
    chance = random.Random(7)
    told = -1
    with Store(store_url) as store:
        for _ in range(4):
            with subprocess.Popen([sys.executable, "-c", SESSION, store_url, str(TESTS)], stdout=subprocess.PIPE) as process:
                for _ in range(chance.randint(1, 40)):
                    line = process.stdout.readline()
                    assert line, "it ended by itself"
                    told = max(told, int(line))
                process.send_signal(signal.SIGKILL)
                told = max([told, *map(int, process.stdout.read().split())])
            assert store.live.session("s").status == "dead"
            names = [request.client_order_id for request in store.live.requests("s")]
            assert names == [f"o{number}" for number in range(4, 5 * len(names), 5)], "each once, in order"
            assert len(names) >= (told + 1) // 5
            verdict = store.live.verify_audit("s")
            assert verdict.is_whole, verdict.broken
            assert verdict.events > told, "events up to an order are kept with it"
        assert store.live.begin_session(example_session("s")).status == "running"
