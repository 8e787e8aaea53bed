"""Service files: systemd units, launchd property lists, and a container image with its compose file.

Everything is made from one `ServicePlan`, so the three kinds start the same programs: the session, the guard beside it as a
second unit that outlives it, and, where commands are taken by Telegram, a third one that listens. Secrets are
never written into a unit; they come from a file that only the user may read.
"""

from __future__ import annotations

import plistlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sovereign.core.errors import UsageError

HEALTH_PORT = 9108
"""The health port that service files set: next to those of Prometheus' own exporters."""

GUARD, CONTROL = "-guard", "-control"
"""What the names of the units beside the session end with."""

NUMBA_FOLDER = ".numba"
WATCHDOG_S = 60
RESTART_S = 5
RESTART_MOST_S = 300
STOP_S = 60


class Kind(StrEnum):
    """Which supervisor the files are for."""

    SYSTEMD = "systemd"
    LAUNCHD = "launchd"
    DOCKER = "docker"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePlan:
    """What runs, and where.

    Parameters
    ----------
    name : prefix of the units; the guard's is `NAME-guard`, that of remote control `NAME-control`.
    has_control : whether a unit takes commands by Telegram.
    program : the words that start the command line (an interpreter and a module, or a script).
    arguments : what follows `sovereign run`.
    folder : working directory: configuration, store, recordings and logs live below it.
    environment_file : `NAME=VALUE` lines with the secrets; read by the supervisor if it is there.
    is_user : units of the user and not of the machine. user : whom a machine's unit runs as.
    """

    name: str
    program: tuple[str, ...]
    arguments: tuple[str, ...]
    folder: Path
    environment_file: Path
    is_user: bool
    user: str
    python_path: str = ""
    has_control: bool = False

    def __post_init__(self) -> None:
        bare = self.name.replace("-", "").replace("_", "")
        if not (bare.isascii() and bare.isalnum()):
            raise UsageError(f"name was '{self.name}'; allowed are letters, digits, - and _")
        for text in (*self.program, *self.arguments, str(self.folder), str(self.environment_file), self.user):
            if any(ord(letter) < 32 for letter in text):
                raise UsageError(f"'{text!r}' holds a control character, which no service file can carry")

    @property
    def units(self) -> Mapping[str, tuple[str, ...]]:
        """The words of each program by the name of its unit."""
        units = {
            self.name: (*self.program, "run", *self.arguments),
            f"{self.name}{GUARD}": (*self.program, "guard"),
        }
        return units | ({f"{self.name}{CONTROL}": (*self.program, "control")} if self.has_control else {})


def own_program() -> tuple[str, ...]:
    """Return the words that start this very installation."""
    return (sys.executable, "-m", "sovereign.app.cli.main")


def _quoted(word: str, *, is_command: bool = False) -> str:
    """Quote one word of a unit (systemd.service(5): C-style quotes, % doubled; in a command line $ too)."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    text = text.replace("$", "$$") if is_command else text
    return f'"{text}"' if not text or any(letter in text for letter in " \t'\";\\") else text


def _path(path: Path) -> str:
    return str(path).replace("%", "%%")


def systemd_unit(plan: ServicePlan, unit: str) -> str:
    """Return one systemd unit: notification, watchdog, restart with back-off, and no more rights than it needs."""
    is_guard, is_session = unit.endswith(GUARD), unit == plan.name
    command = " ".join(_quoted(word, is_command=True) for word in plan.units[unit])
    what = "trading session" if is_session else "dead-man guard" if is_guard else "remote control"
    beside = " ".join(f"{other}.service" for other in plan.units if other != plan.name)
    lines = [
        "[Unit]",
        f"Description=Sovereign {what} ({plan.name})",
        "Wants=network-online.target",
        "After=network-online.target time-sync.target",
        *([f"Wants={beside}"] if is_session else []),
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "Type=notify",
        "NotifyAccess=main",
        f"ExecStart={command}",
        f"WorkingDirectory={_path(plan.folder)}",
        f"EnvironmentFile=-{_path(plan.environment_file)}",
        "Environment=PYTHONUNBUFFERED=1 SOVEREIGN__LOG__FORMAT=json",
        # Compiled code is kept in the working directory: nothing else may be written.
        f"Environment={_quoted(f'NUMBA_CACHE_DIR={plan.folder / NUMBA_FOLDER}')}",
        *([f"Environment=SOVEREIGN__HEALTH__PORT={HEALTH_PORT}"] if is_session else []),
        *([f"Environment={_quoted(f'PYTHONPATH={plan.python_path}')}"] if plan.python_path else []),
        *([] if plan.is_user else [f"User={plan.user}"]),
        f"WatchdogSec={WATCHDOG_S}",
        "TimeoutStartSec=300",
        f"TimeoutStopSec={STOP_S}",
        "Restart=always",
        f"RestartSec={RESTART_S}",
        "RestartSteps=6",
        f"RestartMaxDelaySec={RESTART_MOST_S}",
        # A wrong setting or command line does not heal by itself (2 usage, 4 configuration). The guard tries on regardless.
        *([] if is_guard else ["RestartPreventExitStatus=2 4"]),
        "KillSignal=SIGTERM",
        "UMask=0077",
        "NoNewPrivileges=yes",
        "PrivateTmp=yes",
        "ProtectSystem=strict",
        f"ReadWritePaths={_quoted(str(plan.folder))}",
        "ProtectControlGroups=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelTunables=yes",
        "RestrictSUIDSGID=yes",
        "RestrictRealtime=yes",
        "LockPersonality=yes",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "CapabilityBoundingSet=",
        "",
        "[Install]",
        f"WantedBy={'default.target' if plan.is_user else 'multi-user.target'}",
        "",
    ]
    if plan.is_user:  # a user's manager may not drop capabilities that it does not have
        lines = [line for line in lines if not line.startswith(("CapabilityBoundingSet", "ProtectKernelModules"))]
    return "\n".join(lines)


def launchd_list(plan: ServicePlan, unit: str) -> bytes:
    """Return one launchd property list. Secrets: a shell reads the environment file, since launchd cannot."""
    quoted = " ".join(shlex.quote(word) for word in plan.units[unit])
    env = shlex.quote(str(plan.environment_file))
    settings = {
        "PYTHONUNBUFFERED": "1",
        "SOVEREIGN__LOG__FORMAT": "json",
        "NUMBA_CACHE_DIR": str(plan.folder / NUMBA_FOLDER),
    }
    if unit == plan.name:
        settings["SOVEREIGN__HEALTH__PORT"] = str(HEALTH_PORT)
    if plan.python_path:
        settings["PYTHONPATH"] = plan.python_path
    content = {
        "Label": label(unit),
        "ProgramArguments": ["/bin/sh", "-c", f"if [ -r {env} ]; then set -a; . {env}; set +a; fi; exec {quoted}"],
        "WorkingDirectory": str(plan.folder),
        "EnvironmentVariables": settings,
        "RunAtLoad": True,
        "KeepAlive": True,
        "ThrottleInterval": 10,
        "ExitTimeOut": STOP_S,
        "Umask": 0o077,
        "ProcessType": "Interactive",
        "StandardOutPath": str(plan.folder / "logs" / f"{unit}.log"),
        "StandardErrorPath": str(plan.folder / "logs" / f"{unit}.log"),
        **({} if plan.is_user else {"UserName": plan.user}),
    }
    return plistlib.dumps(content)


def label(unit: str) -> str:
    """Return launchd's name of a unit."""
    return f"org.sovereign.{unit}"


def dockerfile() -> str:
    """Return the image: the installed package, a user without rights, and a health check without a shell."""
    check = (
        "import sys, urllib.request; "
        f"sys.exit(urllib.request.urlopen('http://127.0.0.1:{HEALTH_PORT}/healthz', timeout=3).status != 200)"
    )
    return "\n".join(
        [
            "# Built in the folder of the source: docker build -f Dockerfile -t sovereign .",
            "FROM python:3.12-slim",
            f"ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 NUMBA_CACHE_DIR=/data/{NUMBA_FOLDER} \\",
            f"    SOVEREIGN__LOG__FORMAT=json SOVEREIGN__HEALTH__PORT={HEALTH_PORT}",
            "RUN groupadd --gid 10001 sovereign && useradd --uid 10001 --gid 10001 --no-create-home sovereign \\",
            "    && mkdir -p /data && chown sovereign:sovereign /data",
            "COPY pyproject.toml constraints.txt README.md LICENSE /source/",
            "COPY src /source/src",
            'RUN pip install -c /source/constraints.txt "/source[databento,massive]" && rm -rf /source',
            "USER 10001:10001",
            "WORKDIR /data",
            "VOLUME /data",
            "STOPSIGNAL SIGTERM",
            f'HEALTHCHECK --interval=30s --timeout=5s --start-period=300s CMD ["python", "-c", "{check}"]',
            'ENTRYPOINT ["sovereign"]',
            'CMD ["--help"]',
            "",
        ]
    )


def compose(plan: ServicePlan) -> str:
    """Return the compose file: session, guard and what else there is as containers on one volume, without rights or ports."""
    parts = [f"name: {plan.name}", "services:"]
    for unit, words in plan.units.items():
        arguments = words[len(plan.program) :]
        parts += [
            f"  {unit}:",
            "    image: sovereign:latest",
            "    build:",
            "      context: .",
            f"    command: {_flow(arguments)}",
            "    restart: always",
            "    init: true",
            '    user: "10001:10001"',
            "    read_only: true",
            '    tmpfs: ["/tmp"]',
            '    cap_drop: ["ALL"]',
            '    security_opt: ["no-new-privileges:true"]',
            f"    stop_grace_period: {STOP_S}s",
            "    env_file:",
            f"      - path: {_scalar(plan.environment_file.name)}",
            "        required: false",
            "    volumes:",
            f"      - {plan.name}-data:/data",
        ]
        if unit != plan.name:
            parts += ["    healthcheck:", "      disable: true"]
    parts += ["volumes:", f"  {plan.name}-data: {{}}", ""]
    return "\n".join(parts)


def _scalar(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$") + '"'


def _flow(words: Sequence[str]) -> str:
    return "[" + ", ".join(_scalar(word) for word in words) + "]"


def files_of(plan: ServicePlan, kind: Kind) -> dict[str, bytes]:
    """Return the files of a kind by name."""
    if kind is Kind.SYSTEMD:
        return {f"{unit}.service": systemd_unit(plan, unit).encode() for unit in plan.units}
    if kind is Kind.LAUNCHD:
        return {f"{label(unit)}.plist": launchd_list(plan, unit) for unit in plan.units}
    return {"Dockerfile": dockerfile().encode(), "compose.yaml": compose(plan).encode()}


def folder_of(kind: Kind, *, is_user: bool, home: Path) -> Path:
    """Return where the supervisor looks for its files."""
    if kind is Kind.SYSTEMD:
        return home / ".config" / "systemd" / "user" if is_user else Path("/etc/systemd/system")
    if kind is Kind.LAUNCHD:
        return home / "Library" / "LaunchAgents" if is_user else Path("/Library/LaunchDaemons")
    return Path()


def control_words(kind: Kind, verb: str, units: Sequence[str], *, is_user: bool, uid: int, folder: Path) -> list[list[str]]:
    """Return the supervisor's commands for `start`, `stop`, `restart`, `logs` and (after an install) `load`."""
    scope = ["--user"] if is_user else []
    services = [f"{unit}.service" for unit in units]
    domain = f"gui/{uid}" if is_user else "system"
    if kind is Kind.SYSTEMD:
        table = {
            "start": [["systemctl", *scope, "start", *services]],
            # The guard stays (and who listens): it is there for the time in which nothing else runs.
            "stop": [["systemctl", *scope, "stop", services[0]]],
            "restart": [["systemctl", *scope, "restart", *services]],
            "logs": [["journalctl", *scope, "--no-pager", "-n", "200", *(f"--unit={service}" for service in services)]],
            "load": [["systemctl", *scope, "daemon-reload"], ["systemctl", *scope, "enable", *services]],
            "unload": [["systemctl", *scope, "disable", "--now", *services]],
        }
    elif kind is Kind.LAUNCHD:
        lists = {unit: str(folder / f"{label(unit)}.plist") for unit in units}
        table = {
            "start": [["launchctl", "bootstrap", domain, path] for path in lists.values()],
            "stop": [["launchctl", "bootout", f"{domain}/{label(units[0])}"]],
            "restart": [["launchctl", "kickstart", "-k", f"{domain}/{label(unit)}"] for unit in units],
            "logs": [["launchctl", "print", f"{domain}/{label(unit)}"] for unit in units],
            "load": [],
            "unload": [["launchctl", "bootout", f"{domain}/{label(unit)}"] for unit in units],
        }
    else:
        base = ["docker", "compose", "-f", str(folder / "compose.yaml")]
        table = {
            "start": [[*base, "up", "--detach", "--build"]],
            "stop": [[*base, "stop", units[0]]],
            "restart": [[*base, "restart"]],
            "logs": [[*base, "logs", "--tail", "200"]],
            "load": [],
            "unload": [[*base, "down"]],
        }
    return table[verb]
