"""`sovereign service install | uninstall | print | start | stop | restart | logs | update | grafana`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sovereign.app.cli.common import JsonOption, command_app, emit
from sovereign.app.ops.service import Kind
from sovereign.core.errors import NotFoundError, SovereignError, UsageError

if TYPE_CHECKING:
    from sovereign.app.ops.service import ServicePlan

app = command_app("Install, start, stop and watch the services: the session, the guard and remote control beside it.")

KindOption = Annotated[Kind, typer.Option("--kind", help="Whose files: systemd, launchd or docker.")]
UserOption = Annotated[bool, typer.Option("--user/--system", help="Services of this user, or of the machine (needs root).")]
NameOption = Annotated[str, typer.Option("--name", help="Name of the service; the others are NAME-guard, NAME-control.")]
StrategyArgument = Annotated[str, typer.Argument(help="Strategy that the session trades.")]
ModeOption = Annotated[str, typer.Option("--mode", help="paper or live.")]
FolderOption = Annotated[Path, typer.Option("--folder", help="Working directory: configuration, store and recordings.")]
OutOption = Annotated[Path | None, typer.Option("--out", help="Write the files here and tell no supervisor.")]
EnvironmentOption = Annotated[
    Path | None, typer.Option("--environment-file", help="NAME=VALUE lines with the secrets; default: FOLDER/sovereign.env.")
]
RunOption = Annotated[
    list[str] | None, typer.Option("--run-option", metavar="WORD", help="A further word for 'sovereign run'; may be repeated.")
]

ControlOption = Annotated[
    bool, typer.Option("--control", help="Also a service that takes commands by Telegram (see alerts.telegram.command_chats).")
]

_CHECK_S = 60.0
_KIND = Kind.LAUNCHD if sys.platform == "darwin" else Kind.SYSTEMD


def _plan(
    name: str,
    strategy: str,
    mode: str,
    folder: Path,
    environment_file: Path | None,
    options: Sequence[str] | None,
    *,
    is_user: bool,
    has_control: bool = False,
) -> ServicePlan:
    from sovereign.app.ops.desk import somebody
    from sovereign.app.ops.service import ServicePlan, own_program

    if mode not in ("paper", "live"):
        raise UsageError(f"--mode was '{mode}'; allowed are paper and live")
    place = folder.expanduser().absolute()
    return ServicePlan(
        name=name,
        program=own_program(),
        arguments=(strategy, "--mode", mode, *(("--live",) if mode == "live" else ()), *(options or ())),
        folder=place,
        environment_file=(environment_file or place / "sovereign.env").expanduser().absolute(),
        is_user=is_user,
        user=somebody().partition("@")[0],
        python_path=_python_path(),
        has_control=has_control,
    )


def _python_path() -> str:
    """Return what a supervisor must add for a source tree that is not installed; empty for an installed package."""
    root = Path(__file__).resolve().parents[3]
    return "" if "site-packages" in root.parts or not os.environ.get("PYTHONPATH") else str(root)


def _run(words: Sequence[str]) -> None:
    if shutil.which(words[0]) is None:
        raise NotFoundError(
            f"program '{words[0]}' was not found on this machine; use --kind of the supervisor that runs here "
            f"(systemd, launchd or docker), or --out DIR to write the files alone"
        )
    done = subprocess.run(list(words), check=False)  # noqa: S603 - a fixed table of words
    if done.returncode != 0:
        raise SovereignError(f"'{' '.join(words)}' ended with {done.returncode}; its own message stands above")


def _control(kind: Kind, verb: str, name: str, folder: Path, *, is_user: bool) -> None:
    from sovereign.app.ops.service import control_words, folder_of

    place = folder.absolute() if kind is Kind.DOCKER else folder_of(kind, is_user=is_user, home=Path.home())
    uid = os.getuid() if hasattr(os, "getuid") else 0
    units = [name, f"{name}-guard", *([f"{name}-control"] if _has_control(kind, name, place) else [])]
    for words in control_words(kind, verb, units, is_user=is_user, uid=uid, folder=place):
        _run(words)


def _has_control(kind: Kind, name: str, place: Path) -> bool:
    """Say whether the service that takes commands by Telegram is among those installed."""
    from sovereign.app.ops.service import label

    file = {Kind.SYSTEMD: f"{name}-control.service", Kind.LAUNCHD: f"{label(f'{name}-control')}.plist"}.get(kind)
    return file is not None and (place / file).is_file()


def check_start(plan: ServicePlan) -> dict[str, str]:
    """Start each program of a plan as its unit would, asking only for its help; return what each said first.

    Raises
    ------
    SovereignError : one does not start.
    """
    environment = {**os.environ, **({"PYTHONPATH": plan.python_path} if plan.python_path else {})}
    said = {}
    for unit, words in plan.units.items():
        plan.folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(  # noqa: S603 - the words of the unit itself
            [*words, "--help"],
            cwd=plan.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_CHECK_S,
        )
        if done.returncode != 0:
            raise SovereignError(f"unit '{unit}' does not start: {(done.stderr or done.stdout).strip()[-500:]}")
        said[unit] = done.stdout.strip().splitlines()[0]
    return said


@app.command()
def install(
    strategy: StrategyArgument = "order_flow",
    kind: KindOption = _KIND,
    is_user: UserOption = True,
    name: NameOption = "sovereign",
    mode: ModeOption = "paper",
    folder: FolderOption = Path(),
    environment_file: EnvironmentOption = None,
    run_option: RunOption = None,
    has_control: ControlOption = False,
    out: OutOption = None,
    is_checked: Annotated[
        bool, typer.Option("--check", help="Start every program (with --help) before anything else.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the service files to where the supervisor looks for them, and tell it."""
    from sovereign.app.ops.service import files_of, folder_of

    plan = _plan(name, strategy, mode, folder, environment_file, run_option, is_user=is_user, has_control=has_control)
    if is_checked:
        check_start(plan)
    place = out or (plan.folder if kind is Kind.DOCKER else folder_of(kind, is_user=is_user, home=Path.home()))
    place.mkdir(parents=True, exist_ok=True)
    for folder_needed in (plan.folder, plan.folder / "logs"):
        if out is None:
            folder_needed.mkdir(parents=True, exist_ok=True)
    written = []
    for file_name, content in files_of(plan, kind).items():
        (place / file_name).write_bytes(content)
        written.append(str(place / file_name))
    if out is None:
        _control(kind, "load", name, plan.folder, is_user=is_user)
    result = {"kind": kind, "files": written, "units": list(plan.units), "environment_file": plan.environment_file}

    def text(done: Mapping[str, Any]) -> str:
        lines = [f"wrote {file}" for file in done["files"]]
        lines.append(f"secrets are read from {done['environment_file']} (make it readable for its owner alone: chmod 600)")
        lines.append("start them with 'sovereign service start'")
        return "\n".join(lines)

    emit(result, as_json, text)


@app.command()
def uninstall(
    kind: KindOption = _KIND,
    is_user: UserOption = True,
    name: NameOption = "sovereign",
    folder: FolderOption = Path(),
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop the services and remove their files; data and secrets stay."""
    from sovereign.app.ops.service import files_of, folder_of

    plan = _plan(name, "order_flow", "paper", folder, None, None, is_user=is_user, has_control=True)
    place = out or (plan.folder if kind is Kind.DOCKER else folder_of(kind, is_user=is_user, home=Path.home()))
    present = [place / file for file in files_of(plan, kind) if (place / file).is_file()]
    if not present:
        raise NotFoundError(f"no service files of '{name}' are in '{place}'; see --name, --kind and --user/--system")
    if out is None:
        _control(kind, "unload", name, plan.folder, is_user=is_user)
    for file in present:
        file.unlink()
    emit({"removed": present}, as_json, lambda done: "\n".join(f"removed {file}" for file in done["removed"]))


@app.command("print")
def print_files(
    strategy: StrategyArgument = "order_flow",
    kind: KindOption = _KIND,
    is_user: UserOption = True,
    name: NameOption = "sovereign",
    mode: ModeOption = "paper",
    folder: FolderOption = Path(),
    environment_file: EnvironmentOption = None,
    run_option: RunOption = None,
    has_control: ControlOption = False,
    as_json: JsonOption = False,
) -> None:
    """Print the service files and write nothing."""
    from sovereign.app.ops.service import files_of

    plan = _plan(name, strategy, mode, folder, environment_file, run_option, is_user=is_user, has_control=has_control)
    files = {file: content.decode() for file, content in files_of(plan, kind).items()}
    emit(files, as_json, lambda made: "\n".join(f"# ----- {file}\n{content}" for file, content in made.items()))


def _verb(verb: str, text: str) -> None:
    def command(
        kind: KindOption = _KIND,
        is_user: UserOption = True,
        name: NameOption = "sovereign",
        folder: FolderOption = Path(),
    ) -> None:
        _control(kind, verb, name, folder, is_user=is_user)

    command.__doc__ = text
    app.command(verb)(command)


_verb("start", "Start session, guard and what else is installed.")
_verb("stop", "Stop the session; the guard stays, since nothing else watches the account then.")
_verb("restart", "Restart session, guard and what else is installed.")
_verb("logs", "Print the newest log lines of all.")


@app.command()
def update(
    source: Annotated[Path | None, typer.Option("--source", help="Checkout of the source; default: this one's.")] = None,
    kind: KindOption = _KIND,
    is_user: UserOption = True,
    name: NameOption = "sovereign",
    folder: FolderOption = Path(),
) -> None:
    """Bring the source up to date, install it, and restart the services."""
    place = (source or Path(__file__).resolve().parents[4]).absolute()
    if not (place / ".git").exists():
        raise UsageError(f"--source was '{place}', which is no git checkout; give its folder, or update the package with pip")
    _run(["git", "-C", str(place), "pull", "--ff-only"])
    if kind is not Kind.DOCKER:
        constraints = place / "constraints.txt"
        _run([sys.executable, "-m", "pip", "install", "-q", "-c", str(constraints), "-e", str(place)])
    _control(kind, "start" if kind is Kind.DOCKER else "restart", name, folder, is_user=is_user)


@app.command()
def grafana(
    out: Annotated[Path | None, typer.Option("--out", help="File to write; default: print it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the Grafana board that shows every metric of /metrics."""
    import json

    from sovereign.app.ops.metrics import board

    text = json.dumps(board(), indent=2) + "\n"
    if out is None:
        emit(board(), True, str)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    emit({"file": out}, as_json, lambda done: f"wrote {done['file']}; import it in Grafana and choose your Prometheus")
