"""Which hosts are taken, how root is asked for, and how packages come in."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from scripts import host, packages, python_env
from scripts.console import Progress, Refusal
from scripts.state import Made, load
from tests.unit.scripts.conftest import FakeHost


@pytest.mark.parametrize("text", ["ID=debian\n", "ID=ubuntu\nID_LIKE=debian\n", 'ID=linuxmint\nID_LIKE="ubuntu debian"\n'])
def test_debian_ubuntu_and_their_children_are_taken(tmp_path: Path, text: str) -> None:
    (tmp_path / "os-release").write_text(text)
    host.check(tmp_path / "os-release")


def test_another_system_is_named_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text('ID=fedora\nPRETTY_NAME="Fedora Linux 42"\n')
    with pytest.raises(Refusal, match="this is Fedora Linux 42"):
        host.check(tmp_path / "os-release")
    with pytest.raises(Refusal):
        host.check(tmp_path / "absent")


def test_without_root_the_script_starts_again_through_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "execvp", lambda _, command: started.append(command))
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/sudo")
    monkeypatch.setattr(host, "_KEPT", ("SSL_CERT_FILE",))
    monkeypatch.setenv("SSL_CERT_FILE", "/ca.crt")
    host.elevate("scripts.up")
    kept = ["PYTHONDONTWRITEBYTECODE=1", "SSL_CERT_FILE=/ca.crt"]
    assert started == [["sudo", "env", *kept, sys.executable, "-m", "scripts.up", "--as-root"]]


def test_neither_root_nor_sudo_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(Refusal, match="This needs root: run it as root, or install sudo"):
        host.elevate("scripts.up")


def test_only_missing_packages_are_installed_and_recorded(
    fake_host: FakeHost, made: Made, progress: Progress, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(packages, "_POLICY", policy)
    monkeypatch.setattr(packages, "SYSTEMD", tmp_path)
    fake_host.printing["dpkg-query"] = "iptables installed\nnginx config-files\n"
    seen: list[str] = []
    fake_host.on_run = lambda command: seen.append(policy.read_text()) if " install " in command else None
    packages.ensure(["iptables", "nginx"], made, progress)
    assert next(command for command in fake_host.ran if " install " in command).endswith("--no-install-recommends nginx")
    assert "systemctl disable --quiet nginx" in fake_host.ran
    assert load(made.path).packages == ["nginx"]
    assert seen[0].endswith("exit 101\n"), "no service starts by being installed"
    assert not policy.exists()


def test_a_policy_of_the_hosts_own_stays(
    fake_host: FakeHost, made: Made, progress: Progress, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 0\n")
    monkeypatch.setattr(packages, "_POLICY", policy)
    packages.ensure(["nginx"], made, progress)
    assert policy.read_text() == "#!/bin/sh\nexit 0\n"


@pytest.mark.parametrize(("is_old", "chosen"), [(False, sys.executable), (True, ">=3.11")])
def test_an_environment_that_is_as_locked_is_left_alone(
    fake_host: FakeHost, progress: Progress, monkeypatch: pytest.MonkeyPatch, *, is_old: bool, chosen: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/uv")
    monkeypatch.setattr(python_env, "_DISTRIBUTIONS_OWN", sys.executable)
    if is_old:
        fake_host.failing[f"{sys.executable} -c"] = "1"
    sync = f"/usr/bin/uv sync --locked --python {chosen}"
    python_env.ensure(progress)
    assert fake_host.ran[1:] == [f"{sync} --check"]
    fake_host.failing[f"{sync} --check"] = "would change"
    python_env.ensure(progress)
    assert fake_host.ran[-1] == sync
    assert progress.changes == ["uv sync --locked"]


def test_uv_comes_from_pypi_where_the_host_has_none(
    fake_host: FakeHost, progress: Progress, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "uv" else "/usr/bin/sudo")
    monkeypatch.setattr(python_env, "PROJECT", tmp_path)
    monkeypatch.setattr(python_env, "_OWN_UV", tmp_path / "uv")
    fake_host.failing[f"{sys.executable} -m venv"] = "ensurepip is not available"
    fake_host.on_run = lambda command: fake_host.failing.clear() if "python3-venv" in command else None
    python_env.ensure(progress)
    assert any(command.endswith("install -y -q python3-venv") for command in fake_host.ran)
    assert f"{tmp_path}/uv/bin/pip install --quiet uv=={python_env.UV_VERSION}" in fake_host.ran
