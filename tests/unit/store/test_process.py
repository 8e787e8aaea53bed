"""Which process wrote something, and whether it still lives."""

import subprocess
import sys
from dataclasses import replace

import pytest

from sovereign.store.process import is_gone, this_process


def test_process_when_it_asks_about_itself_then_lives():
    assert not is_gone(this_process())
    assert not is_gone(replace(this_process(), token=""))


def test_process_when_it_has_ended_then_is_gone():
    with subprocess.Popen([sys.executable, "-c", "pass"]) as child:
        child.wait()
    assert is_gone(replace(this_process(), pid=child.pid, token=""))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems tell neither boot nor start time here")
def test_process_when_its_number_belongs_to_another_start_or_boot_then_is_gone():
    me = this_process()
    boot, started = me.token.split("/")
    assert is_gone(replace(me, token=f"{boot}/{int(started) + 1}"))
    assert is_gone(replace(me, token=f"another-boot/{started}"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="told by /proc")
def test_process_when_it_is_dead_but_not_yet_waited_for_then_is_gone():
    child = subprocess.Popen([sys.executable, "-c", "print('ended', flush=True)"], stdout=subprocess.PIPE)
    child.stdout.read()
    me = this_process()
    for _ in range(1000):
        if is_gone(replace(me, pid=child.pid, token="")) or is_gone(replace(me, pid=child.pid, token="x/1")):
            break
    assert is_gone(replace(me, pid=child.pid, token="x/1"))
    child.communicate()


def test_process_when_it_is_of_another_host_then_nobody_knows():
    assert not is_gone(replace(this_process(), host="elsewhere", pid=2**22 + 1))
