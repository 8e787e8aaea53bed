"""No part of the platform changes a record that others hold: in development mode each refuses it (`core.record.quick`)."""

from __future__ import annotations

import subprocess
import sys


def test_demo_when_records_refuse_every_assignment_then_runs_as_ever(tmp_path):
    command = ["-m", "sovereign.app.cli.main", "demo", "--strategy", "tug_of_war", "--headless"]
    given = [f"report.folder={tmp_path}", f"store.url=sqlite:///{tmp_path}/runs.sqlite"]
    options = [word for value in given for word in ("--set", value)]
    ran = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "ignore", *command, *options],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=tmp_path,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert "report.html" in ran.stdout
