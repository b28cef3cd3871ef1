"""A Docker Engine of the tests' own: no other engine of the host is used, changed or seen."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.support import processes, tiny_image, unixhttp
from tests.support.namespace import NetworkNamespace, remove_orphans, system

FOLDER_PREFIX = "pbt-"  # followed by the owner's process id; below a short path, because a socket's has at most 107 characters
REGISTRY = "127.0.0.1:5000"  # inside the engine's namespace
START_SECONDS = 60.0
STOP_SECONDS = 30.0
_PACKAGES = {
    "dockerd": "docker.io",
    "containerd": "containerd",
    "docker": "docker.io",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "iptables": "iptables",
}
_numbers = itertools.count()


def next_number() -> int:
    """One that no other namespace of this process has."""
    return next(_numbers)


class EngineError(Exception):
    """The private engine cannot be had, or docker's client refused a command; one sentence."""


class PrivateEngine:
    """dockerd, its containerd, a network namespace and one Swarm node, all of which `destroy` takes away again."""

    def __init__(
        self,
        *,
        namespace: Callable[[int], NetworkNamespace] = NetworkNamespace,
        enter_swarm: Callable[[], Sequence[str]] = lambda: ("init",),
    ) -> None:
        """`namespace` makes one of a free number; `enter_swarm` gives the words after `docker swarm` at the first start."""
        number = next_number()
        self._namespace = namespace(number)
        self._enter_swarm = enter_swarm
        self.folder = Path(tempfile.gettempdir()) / f"{FOLDER_PREFIX}{os.getpid()}-{number}"
        if len(str(self.folder)) > 60:
            self.folder = Path("/tmp") / self.folder.name  # noqa: S108 - the name is ours alone and the folder is made exclusively
        self.socket = self.folder / "docker.sock"
        self.host = f"unix://{self.socket}"
        self._daemon: subprocess.Popen[bytes] | None = None
        self._registry: subprocess.Popen[bytes] | None = None
        self._pushed: set[str] = set()

    @property
    def address(self) -> str:
        """Where the host reaches ports that containers publish in host mode."""
        return self._namespace.address

    @property
    def pid(self) -> int:
        """Of dockerd. Raises EngineError when it does not run."""
        if self._daemon is None:
            raise EngineError("the engine is not running")
        return self._daemon.pid

    def start(self) -> None:
        """Start dockerd and wait for its Swarm; the first start makes folder, namespace and Swarm. Raises EngineError."""
        first = not self.folder.exists()
        if first:
            _require_tools()
            _remove_orphaned_folders()
            remove_orphans()
            (self.folder / "client").mkdir(parents=True, mode=0o700)
            (self.folder / "daemon.json").write_text("{}")
            atexit.register(self.destroy)
            self._namespace.create()
        self._start_daemon()
        if first:
            self.docker("swarm", *self._enter_swarm(), "--advertise-addr", self.address)
        if not processes.wait_until(self._is_manager, seconds=START_SECONDS):
            raise EngineError(f"the engine's Swarm did not come up: {self._last_words()}")

    def stop(self) -> None:
        """End dockerd in its own time (SIGTERM), as an upgrade or a reboot does; its containers end with it."""
        if self._daemon is None:
            return
        self._daemon.terminate()
        try:
            self._daemon.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            self._daemon.wait(STOP_SECONDS)
        self._daemon = None

    def kill(self) -> None:
        """End dockerd as a crash does (SIGKILL): socket, pid file, mounts and running containers stay for the next start."""
        if self._daemon is None:
            return
        self._daemon.kill()
        self._daemon.wait(STOP_SECONDS)
        self._daemon = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def destroy(self) -> None:
        """Stop everything and leave nothing: no process, mount, interface, namespace or file. Safe to call twice."""
        atexit.unregister(self.destroy)
        if self._registry is not None:
            self._registry.kill()
            self._registry.wait(STOP_SECONDS)
            self._registry = None
        with contextlib.suppress(
            EngineError, subprocess.TimeoutExpired
        ):  # a broken engine must not keep the rest from being cleaned
            self.docker("swarm", "leave", "--force", check=False, timeout=STOP_SECONDS)
        self.stop()
        _clean_folder(self.folder)
        self._namespace.delete()

    def docker(self, *args: str, input: bytes | str | None = None, check: bool = True, timeout: float = 120.0) -> str:
        """Run docker's client with a clean configuration; return its stdout. Raises EngineError with its stderr."""
        payload = input.encode() if isinstance(input, str) else input
        done = subprocess.run(
            ["docker", *args], input=payload, check=False, capture_output=True, timeout=timeout, env=self.client_environment()
        )
        if check and done.returncode:
            raise EngineError(f"docker {' '.join(args[:3])}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode(errors="replace")

    def client_environment(self) -> dict[str, str]:
        """All that docker's client and the controller are to know of their surroundings."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "client"),
            "DOCKER_HOST": self.host,
            "DOCKER_CONFIG": str(self.folder / "client"),
            **{name: text for name, text in os.environ.items() if name.startswith("COVERAGE_PROCESS")},
        }

    def api(self, method: str, target: str, body: object = None) -> Any:
        """One request to the Engine API, decoded. Raises unixhttp.ApiError for a status of 400 and above."""
        return unixhttp.call(self.socket, method, target, body)

    def exec_in_netns(self, cmd: Sequence[str], *, check: bool = True) -> str:
        """Run a host's command inside the engine's network namespace. Raises CommandError."""
        return system(*self._namespace.enter(*cmd), check=check)

    def import_tiny_image(self, name: str, tag: str = "latest") -> str:
        """Make an image that holds, named NAME:TAG; each call makes another image. Returns its id. Raises EngineError."""
        try:
            root = tiny_image.tiny_root()
        except tiny_image.MissingProgramError as error:
            raise EngineError(str(error)) from error
        changes = (f'CMD ["{tiny_image.HOLD}"]', "ENV PATH=/bin", f"LABEL made.as={name}:{tag}")
        options = [word for change in changes for word in ("--change", change)]
        return self.docker("import", *options, "-", f"{name}:{tag}", input=root).strip()

    def push_tiny_image(self, name: str, tag: str = "latest") -> str:
        """Serve a tiny image from this engine's registry, made once; return the reference under which all may name it."""
        reference = f"{self.registry()}/{name}:{tag}"
        if reference not in self._pushed:
            self.import_tiny_image(f"{REGISTRY}/{name}", tag)
            self.docker("push", "--quiet", reference)
            self._pushed.add(reference)
        return reference

    def push_nginx_image(self) -> str:
        """Serve an image with the host's nginx likewise: tiny_image.SERVE, or nginx with a configuration of one's own."""
        reference = f"{self.registry()}/nginx:1"
        if reference not in self._pushed:
            try:
                root = tiny_image.nginx_root()
            except tiny_image.MissingProgramError as error:
                raise EngineError(str(error)) from error
            self.docker("import", "--change", "ENV PATH=/bin:/usr/sbin", "-", reference, input=root)
            self.docker("push", "--quiet", reference)
            self._pushed.add(reference)
        return reference

    def registry(self) -> str:
        """Start a registry on loopback inside the namespace, once; return its HOST:PORT. Raises EngineError."""
        if self._registry is None:
            if shutil.which("docker-registry") is None:
                raise EngineError("docker-registry is not installed: apt-get install docker-registry")
            config = self.folder / "registry.yml"
            config.write_text(
                "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
                f"storage: {{filesystem: {{rootdirectory: {self.folder / 'registry'}}}}}\nhttp: {{addr: '{REGISTRY}'}}\n"
            )
            self._registry = self._spawn("docker-registry", "serve", str(config), log="registry.log")
            host, _, port = REGISTRY.partition(":")
            command = self._namespace.enter("python3", "-c", f"import socket; socket.create_connection(('{host}', {port}))")
            if not processes.wait_until(
                lambda: subprocess.run(command, check=False, capture_output=True).returncode == 0, seconds=20
            ):
                raise EngineError("the registry on loopback did not start")
        return REGISTRY

    def _start_daemon(self) -> None:
        self._forget_dead_daemons()
        self._daemon = self._spawn(
            "dockerd",
            f"--data-root={self.folder / 'data'}",
            f"--exec-root={self.folder / 'exec'}",  # its containerd lives below this
            f"--pidfile={self.folder / 'docker.pid'}",
            f"--host={self.host}",
            f"--config-file={self.folder / 'daemon.json'}",  # instead of the host's
            f"--registry-mirror=http://{REGISTRY}",
            log="dockerd.log",
        )
        if not processes.wait_until(self._answers, seconds=START_SECONDS):
            raise EngineError(f"dockerd did not start: {self._last_words()}")

    def _forget_dead_daemons(self) -> None:
        """Remove the pid files of a killed daemon.

        Where process 1 reaps no orphans, its containerd stays a zombie, and the next dockerd would wait for that to answer.
        """
        containerd = self.folder / "exec/containerd/containerd.pid"
        if containerd.exists():
            pid = int(containerd.read_text() or 0)
            if pid in processes.mentioning(self.folder):
                processes.send(pid, signal.SIGKILL)
                processes.wait_until(lambda: not processes.is_alive(pid), seconds=5)
            containerd.unlink()
        (self.folder / "docker.pid").unlink(missing_ok=True)

    def _spawn(self, *command: str, log: str) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("ab") as output:
            # Its own session: ctrl-C in the terminal is for pytest, which then ends the engine in order.
            return subprocess.Popen(
                self._namespace.enter(*command), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    def _answers(self) -> bool:
        if self._daemon is None or self._daemon.poll() is not None:
            raise EngineError(f"dockerd ended at its start: {self._last_words()}")
        try:
            self.api("GET", "/_ping")
        except (OSError, unixhttp.ApiError):
            return False
        return True

    def _is_manager(self) -> bool:
        try:
            nodes = self.api("GET", "/nodes")
        except (OSError, unixhttp.ApiError):
            return False
        return any(node["Status"]["State"] == "ready" for node in nodes)

    def _last_words(self) -> str:
        log = self.folder / "dockerd.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return " / ".join(lines[-3:])


def _require_tools() -> None:
    if os.geteuid() != 0:
        raise EngineError("these tests start a Docker Engine of their own and need root: run them with sudo")
    for tool, package in _PACKAGES.items():
        if shutil.which(tool) is None:
            raise EngineError(f"these tests start a Docker Engine of their own and miss {tool}: apt-get install {package}")


def _clean_folder(folder: Path) -> None:
    """What still runs or is mounted there goes first: shims outlive a killed dockerd, and containers their shims."""
    for pid in processes.descendants(processes.mentioning(folder)):
        processes.send(pid, signal.SIGKILL)
    processes.wait_until(lambda: not processes.mentioning(folder), seconds=10)
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((mount for mount in mounts if mount.startswith(f"{folder}/")), reverse=True):
        system("umount", "--lazy", mount, check=False)
    for _ in range(5):  # the kernel may take a moment to let go of a container's files
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.2)
    shutil.rmtree(folder)


def _remove_orphaned_folders() -> None:
    for parent in {Path(tempfile.gettempdir()), Path("/tmp")}:  # noqa: S108 - the second choice of __init__
        for folder in parent.glob(f"{FOLDER_PREFIX}*-*"):
            owner = re.fullmatch(rf"{FOLDER_PREFIX}(\d+)-\d+", folder.name)
            if owner and not Path(f"/proc/{owner[1]}").exists():
                _clean_folder(folder)
