"""The kill switch on several accounts at once."""

import threading
import time

from fakes.held_account import HeldAccount
from sovereign.app.ops.configuration import KillConfig
from sovereign.app.ops.kill import kill

CONFIG = KillConfig(attempts=2, wait_s=0.2)


def run(*accounts, latch=lambda: None):
    return kill(accounts, CONFIG, latch=latch, failures=(OSError,))


def test_kill_when_accounts_hold_something_then_all_are_flat_and_it_is_latched():
    latched = []
    one, other = HeldAccount(0, {"ES": 1}, "one"), HeldAccount(0, {"NQ": -2}, "other")
    done = run(one, other, latch=lambda: latched.append(1))
    assert done.is_flat
    assert done.is_latched
    assert latched == [1]
    assert [(result.account, result.is_flat, result.before.positions) for result in done.accounts] == [
        ("one", True, {"ES": 1}),
        ("other", True, {"NQ": -2}),
    ]
    assert one.is_closed
    assert other.is_closed


def test_kill_when_an_account_is_flat_already_then_asks_for_nothing():
    account = HeldAccount(0)
    assert run(account).is_flat
    assert account.asked == ["snapshot"]


def test_kill_when_one_venue_is_silent_then_the_others_are_flat_and_the_whole_is_not():
    mute, other = HeldAccount(0, {"ES": 1}, "mute"), HeldAccount(0, {"NQ": -2}, "other")
    mute.is_silent = True
    done = run(mute, other)
    assert not done.is_flat
    assert [result.is_flat for result in done.accounts] == [False, True]
    assert "did not answer" in done.accounts[0].error
    assert "flatten" in mute.asked  # asked all the same: it may obey though it does not tell


def test_kill_when_the_store_fails_then_flat_but_not_latched():
    def fail():
        raise OSError("no space left")

    done = run(HeldAccount(0, {"ES": 1}), latch=fail)
    assert (done.is_flat, done.is_latched, done.latch_error) == (True, False, "no space left")


def test_kill_when_the_store_hangs_then_flattens_without_it():
    gate = threading.Event()
    began = time.monotonic()
    done = run(HeldAccount(0, {"ES": 1}), latch=lambda: gate.wait(30))
    gate.set()
    assert (done.is_flat, done.is_latched) == (True, False)
    assert "did not answer" in done.latch_error
    assert time.monotonic() - began < 20


def test_kill_when_there_is_no_account_then_not_flat():
    assert not run().is_flat


def test_kill_when_the_first_attempt_is_ignored_then_tries_again():
    account = HeldAccount(0, {"ES": 1})
    account.ignores = 1
    done = run(account)
    assert (done.is_flat, done.accounts[0].attempts) == (True, 2)
