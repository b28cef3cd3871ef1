"""Docker Engine: the one that is there is used as it is; only where none runs is one installed or started."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from scripts import engine_api, packages, processes
from scripts.console import Progress, Refusal
from scripts.shell import SOCKET, STATE, attempt, environment, last_line, run
from scripts.state import Made

PACKAGES = ("docker.io", "iptables", "iproute2")
LOG = STATE / "engine.log"
DAEMON_JSON = Path("/etc/docker/daemon.json")
PID_FILE = Path("/var/run/docker.pid")
_SYSTEM_CONTAINERD = Path("/run/containerd/containerd.sock")
_CONTAINERD_PID = Path("/var/run/docker/containerd/containerd.pid")
PATIENCE = 60.0  # seconds for an engine to answer; one with many containers takes its time


@dataclass(frozen=True)
class EngineFacts:
    """What was found on the host."""

    answers: bool
    installed: bool
    pid: int | None  # of a dockerd that runs
    unit: bool  # systemd runs and knows docker.service


class EngineStep(Enum):
    USE = "use it"
    WAIT = "wait for it"
    INSTALL = "install it"
    START_UNIT = "start it through systemd"
    START_PROCESS = "start dockerd"


def decide(facts: EngineFacts) -> EngineStep:
    """The next step towards an engine that answers; asked again after each one."""
    if facts.answers:
        return EngineStep.USE
    if facts.pid is not None:
        return EngineStep.WAIT
    if not facts.installed:
        return EngineStep.INSTALL
    return EngineStep.START_UNIT if facts.unit else EngineStep.START_PROCESS


def observe() -> EngineFacts:
    return EngineFacts(
        answers=engine_api.answers(),
        installed=shutil.which("dockerd", path=environment()["PATH"]) is not None and _has_client(),
        pid=running_pid(),
        unit=packages.SYSTEMD.is_dir() and attempt("systemctl", "cat", "docker.service", timeout=10).returncode == 0,
    )


def ensure(made: Made, progress: Progress) -> None:
    """End with an engine that answers. Raises Refusal when there is none to be had."""
    for _ in range(len(EngineStep)):
        facts = observe()
        step = decide(facts)
        if step is EngineStep.USE:
            if not _has_client():
                raise Refusal("An engine answers, but there is no `docker` command: install the client that belongs to it.")
            progress.note(f"Engine {engine_version()}, {'started by make up' if made.engine_is_ours else 'found'}")
            return
        if step is EngineStep.INSTALL:
            packages.ensure(PACKAGES, made, progress)
        elif step is EngineStep.WAIT:
            _answers_in_time(processes.identify(facts.pid or 0))
        elif step is EngineStep.START_UNIT:
            progress.change("starting docker.service")
            run("systemctl", "start", "docker.service", timeout=PATIENCE * 2)
            made.engine_unit = True
            made.save()
        else:
            progress.change(f"starting dockerd (log: {LOG})")
            clear_leftovers()
            made.engine = processes.start(["dockerd"], LOG)
            made.save()
            if not _answers_in_time(made.engine):
                raise Refusal(f"dockerd ended: {last_line(LOG.read_bytes())} (its log: {LOG})")
    raise Refusal("The Docker Engine was started and went away again: see `journalctl -u docker` or " + str(LOG))


def stop(made: Made) -> None:
    """End the engine that make up started; with its containers, as any stop of an engine does."""
    if made.engine_unit:
        run("systemctl", "stop", "docker.service", "docker.socket", timeout=120)
    if made.engine is not None:
        processes.stop(made.engine, patience=60)
        clear_leftovers()
        for link in ("docker_gwbridge", "docker0"):
            attempt("ip", "link", "delete", link, timeout=10)
    made.engine, made.engine_unit = None, False
    made.save()


def engine_version() -> str:
    return str((engine_api.get("/version")[1] or {}).get("Version", "of unknown version"))


def clear_leftovers(
    pid_file: Path = PID_FILE, containerd: Path = _SYSTEM_CONTAINERD, containerd_pid: Path = _CONTAINERD_PID
) -> None:
    """Remove what a killed engine leaves and the next one stumbles over.

    Pid files whose numbers may belong to other processes by now (a zombie counts as gone), and the socket of a system's
    containerd at which nobody answers: dockerd would wait for either.
    """
    if pid_file.exists() and running_pid(pid_file) is None:
        pid_file.unlink()
    if containerd_pid.exists():
        number = containerd_pid.read_text().strip()
        if not number.isdigit() or processes.program(int(number)) != "containerd":
            containerd_pid.unlink()
    if containerd.is_socket():
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(containerd))
            except ConnectionRefusedError:
                containerd.unlink()


def running_pid(pid_file: Path = PID_FILE) -> int | None:
    """The dockerd that the pid file names, None if there is none."""
    try:
        pid = int(pid_file.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return pid if processes.program(pid) == "dockerd" else None


def use_mirror(url: str, made: Made, progress: Progress) -> bool:
    """Have an engine of ours ask the registry at `url` first, without a restart; False when the engine is not ours."""
    if not made.engine_is_ours or (DAEMON_JSON.exists() and not made.daemon_json):
        return False
    text = json.dumps({"registry-mirrors": [url]}) + "\n"
    if not DAEMON_JSON.exists() or DAEMON_JSON.read_text() != text:
        progress.change(f"making {url} the engine's mirror ({DAEMON_JSON})")
        made.daemon_json = True
        made.save()
        DAEMON_JSON.parent.mkdir(parents=True, exist_ok=True)
        DAEMON_JSON.write_text(text)
        _reload()
    return True


def forget_mirror(made: Made) -> None:
    if made.daemon_json:
        DAEMON_JSON.unlink(missing_ok=True)
        _reload()
    made.daemon_json = False
    made.save()


def _reload() -> None:
    pid = running_pid()
    if pid is not None:
        os.kill(pid, 1)  # SIGHUP: the mirrors are among what the engine reads again while it runs
        time.sleep(0.5)


def _has_client() -> bool:
    return shutil.which("docker", path=environment()["PATH"]) is not None


def _answers_in_time(daemon: processes.Daemon | None) -> bool:
    """Wait until the engine answers; False as soon as its process has gone. Raises Refusal when it lives and keeps silent."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if engine_api.answers(timeout=2.0):
            return True
        if not processes.alive(daemon):
            return False
        time.sleep(0.2)
    raise Refusal(f"The Docker Engine runs but does not answer at {SOCKET} within {PATIENCE:.0f} s: look into its log.")
