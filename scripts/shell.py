"""Running system commands: bounded in time, logged, and ending in a sentence when they fail."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from scripts.console import Refusal

PROJECT = Path(__file__).resolve().parent.parent
STATE = PROJECT / ".state"
LOG = STATE / "up.log"

# Only this host's engine is ever meant, whatever context or remote engine the caller's shell is set up for.
_FORGET = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
SOCKET = Path("/var/run/docker.sock")
# The authorities that the host trusts, its own among them; uv and pip would bring lists of their own.
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of every command: the caller's, with the system's folders on PATH and docker meaning the local engine."""
    env = {name: value for name, value in os.environ.items() if name not in _FORGET}
    if CA_BUNDLE.is_file():
        env.setdefault("SSL_CERT_FILE", str(CA_BUNDLE))
    env["PATH"] = f"{env.get('PATH', '')}:{_SYSTEM_PATH}".lstrip(":")
    return {**env, "DOCKER_HOST": f"unix://{SOCKET}", "DEBIAN_FRONTEND": "noninteractive", **(extra or {})}


def attempt(
    *argv: str, timeout: float, env: Mapping[str, str] | None = None, stdin: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end, at most `timeout` seconds; a timeout counts as exit code 124, a missing program as 127."""
    started = time.monotonic()
    try:
        done = subprocess.run(
            argv, input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL, capture_output=True,
            timeout=timeout, env=environment(env), cwd=PROJECT, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        done = subprocess.CompletedProcess(argv, 124, b"", f"no answer in {timeout:.0f} s".encode())
    except FileNotFoundError:
        done = subprocess.CompletedProcess(argv, 127, b"", b"no such program")
    _record(argv, done, time.monotonic() - started)
    return done


def run(*argv: str, timeout: float, env: Mapping[str, str] | None = None, stdin: bytes | None = None) -> str:
    """Like `attempt`, but return stdout as text and raise Refusal when the command fails."""
    done = attempt(*argv, timeout=timeout, env=env, stdin=stdin)
    if done.returncode != 0:
        raise Refusal(f"`{' '.join(argv[:4])}` failed: {last_line(done.stderr or done.stdout)} (the whole output: {LOG})")
    return done.stdout.decode(errors="replace").strip()


def stream(*argv: str, timeout: float, env: Mapping[str, str], say: Callable[[str], object]) -> None:
    """Like `run`, for a command whose progress is worth reading: every line is said as it comes."""
    last = "no output"
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(env), cwd=PROJECT
    ) as child:
        limit = threading.Timer(timeout, child.kill)
        limit.start()
        for line in child.stdout or ():
            last = line.decode(errors="replace").rstrip()
            say(last)
        limit.cancel()
    if child.returncode != 0:
        raise Refusal(f"`{' '.join(argv[:4])}` failed: {last}")


def build(tag: str, context: bytes, *options: str) -> None:
    """`docker build` of a Dockerfile or a tar, in the host's network and through the host's proxies where it has any."""
    names = [name for word in ("http_proxy", "https_proxy", "no_proxy") for name in (word, word.upper()) if name in os.environ]
    proxies = [word for name in names for word in ("--build-arg", name)]
    run("docker", "build", "--network", "host", *proxies, *options, "--tag", tag, "-", stdin=context, timeout=900)


def archive(files: Mapping[str, bytes]) -> bytes:
    """The files as a tar that is the same for the same contents, readable by everyone."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def last_line(output: bytes) -> str:
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "no output"


def _record(argv: Sequence[str], done: subprocess.CompletedProcess[bytes], seconds: float) -> None:
    STATE.mkdir(exist_ok=True)
    with LOG.open("ab") as log:
        log.write(f"$ {' '.join(argv)} -> {done.returncode} ({seconds:.1f} s)\n".encode() + done.stdout + done.stderr)
