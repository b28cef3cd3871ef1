"""Settings: where they come from, what is refused, and that every complaint names its variable."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from controller.core.images import Resolve
from controller.errors import SettingsError
from controller.settings import Settings, read_settings


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PRODBREAKER_")]:
        monkeypatch.delenv(name)


def test_without_any_setting_the_defaults_hold() -> None:
    settings = read_settings(manifests=None, listen=None)

    assert settings == Settings()
    assert (settings.manifests, settings.listen, settings.log_level) == (Path("manifests"), "127.0.0.1:8900", "INFO")
    assert settings.bearer_token() is None


def test_the_environment_is_read_and_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "MANIFESTS": "/env",
        "JOURNAL": "/env/journal",
        "LISTEN": "[::1]:0",
        "OWN_STACK": "prodbreaker",
        "RESOLVE_IMAGE": "always",
        "PRUNE": "true",
        "WITH_REGISTRY_AUTH": "0",
        "RESYNC_SECONDS": "1.5",
        "WORKERS": "64",
        "LEASE_SECONDS": "10",
        "LOG_LEVEL": "debug",
        "NO_SUCH_SETTING": "ignored",
    }.items():
        monkeypatch.setenv(f"PRODBREAKER_{name}", text)

    settings = read_settings(manifests=Path("/given"), journal=None)

    assert (settings.manifests, settings.journal, settings.listen) == (Path("/given"), Path("/env/journal"), "[::1]:0")
    assert (settings.own_stack, settings.resolve_image) == ("prodbreaker", Resolve.ALWAYS)
    assert (settings.prune, settings.with_registry_auth) == (True, False)
    assert settings.lease_seconds == 10.0
    assert (settings.resync_seconds, settings.workers, settings.log_level) == (1.5, 64, "DEBUG")


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("LEASE_SECONDS", "2.9", "must be 0, or 3 to 300"),
        ("LEASE_SECONDS", "301", "must be 0, or 3 to 300"),
        ("LEASE_SECONDS", "-1", "must be 0, or 3 to 300"),
        ("LEASE_SECONDS", "nan", "must be 0, or 3 to 300"),
        ("LISTEN", "8900", "must be ADDRESS:PORT, such as 127.0.0.1:8900"),
        ("LISTEN", ":8900", "must be ADDRESS:PORT"),
        ("LISTEN", "127.0.0.1:", "must be ADDRESS:PORT"),
        ("LISTEN", "127.0.0.1:http", "must be ADDRESS:PORT"),
        ("LISTEN", "127.0.0.1:\N{SUPERSCRIPT TWO}", "must be ADDRESS:PORT"),
        ("LISTEN", "127.0.0.1:65536", "must be ADDRESS:PORT"),
        ("PROMETHEUS", "prometheus:9090", "must be a base URL, such as http://prometheus:9090"),
        ("PROMETHEUS", "ftp://p", "must be a base URL"),
        ("PROMETHEUS", "http://", "must be a base URL"),
        ("PROMETHEUS", "http://:9090", "must be a base URL"),
        ("PROMETHEUS", "http://p:port", "must be a base URL"),
        ("PROMETHEUS", "http://p:65536", "must be a base URL"),
        ("PROMETHEUS", "http://p:0", "must be a base URL"),
        ("PROMETHEUS", "http://[::1", "must be a base URL"),
        ("PROMETHEUS", "http://p/?a=b", "must be a base URL"),
        ("PROMETHEUS", "http://p/#a", "must be a base URL"),
        ("PROMETHEUS", "http://p /", "must be a base URL"),
        ("PROMETHEUS", " http://p", "must be a base URL"),
        ("PROMETHEUS", "http://p\n", "must be a base URL"),
        ("LOG_LEVEL", "LOUD", "must be DEBUG, INFO, WARNING or ERROR"),
        ("RESOLVE_IMAGE", "perhaps", "should be 'always', 'changed' or 'never'"),
        ("PRUNE", "perhaps", "should be a valid boolean"),
        ("RESYNC_SECONDS", "0.5", "greater than or equal to 1"),
        ("RESYNC_SECONDS", "3601", "less than or equal to 3600"),
        ("RESYNC_SECONDS", "nan", ""),
        ("WORKERS", "0", "greater than or equal to 1"),
        ("WORKERS", "65", "less than or equal to 64"),
        ("WORKERS", "many", "should be a valid integer"),
    ],
)
def test_a_wrong_value_is_refused_with_its_variable_and_the_reason(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, reason: str
) -> None:
    monkeypatch.setenv(f"PRODBREAKER_{name}", text)

    with pytest.raises(SettingsError) as refused:
        read_settings()

    assert str(refused.value).startswith(f"PRODBREAKER_{name}: ")
    assert reason in str(refused.value)
    assert "Value error" not in str(refused.value)


def test_every_wrong_value_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODBREAKER_WORKERS", "0")
    monkeypatch.setenv("PRODBREAKER_LOG_LEVEL", "LOUD")

    with pytest.raises(SettingsError) as refused:
        read_settings(listen="nowhere")

    assert [fault.partition(":")[0] for fault in str(refused.value).split("; ")] == [
        "PRODBREAKER_LISTEN",
        "PRODBREAKER_WORKERS",
        "PRODBREAKER_LOG_LEVEL",
    ]


def test_a_token_comes_from_the_environment_and_is_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODBREAKER_TOKEN", "planted-token")

    settings = read_settings()

    assert settings.bearer_token() == "planted-token"
    assert "planted" not in repr(settings)


@pytest.mark.parametrize(("text", "token"), [(" spaced\n", "spaced"), ("", None), (" \n", None)])
def test_blanks_around_a_token_are_no_part_of_it(monkeypatch: pytest.MonkeyPatch, text: str, token: str | None) -> None:
    monkeypatch.setenv("PRODBREAKER_TOKEN", text)

    assert read_settings().bearer_token() == token


def test_a_token_file_wins_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("  from-file\n")
    monkeypatch.setenv("PRODBREAKER_TOKEN", "from-environment")
    monkeypatch.setenv("PRODBREAKER_TOKEN_FILE", str(tmp_path / "token"))

    assert read_settings().bearer_token() == "from-file"


def test_a_token_may_be_as_long_as_the_limit(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"x" * 64 * 1024)

    assert read_settings(token_file=tmp_path / "token").bearer_token() == "x" * 64 * 1024


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: "),
        (b"", "holds no token"),
        (b" \n\t\n", "holds no token"),
        (b"x" * (64 * 1024 + 1), "holds no token"),
        (b"\xff\xfeplanted", "cannot be read: "),
    ],
    ids=["missing", "empty", "blank", "too large", "not UTF-8"],
)
def test_a_token_file_without_a_token_is_refused_rather_than_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("PRODBREAKER_TOKEN", "not this one")

    with pytest.raises(SettingsError) as refused:
        read_settings(token_file=file).bearer_token()

    assert str(refused.value).startswith(f"PRODBREAKER_TOKEN_FILE: {file} {reason}")
    assert "planted" not in str(refused.value)


def test_a_folder_is_no_token_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^PRODBREAKER_TOKEN_FILE: .*cannot be read"):
        read_settings(token_file=tmp_path).bearer_token()


@pytest.mark.parametrize("url", ["", "http://p", "https://p:9090/", "http://me:a%40b@p:9090/behind/proxy", "http://[::1]:9090"])
def test_a_base_url_of_prometheus_is_taken_as_it_is_and_its_credentials_are_not_shown(url: str) -> None:
    settings = read_settings(prometheus=url)

    assert settings.prometheus == url
    assert settings.prometheus_token() is None
    assert "a%40b" not in repr(settings)


def test_a_base_url_that_is_refused_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODBREAKER_PROMETHEUS", "http://me:planted#password@p:9090")

    with pytest.raises(SettingsError) as refused:
        read_settings()

    assert "planted" not in str(refused.value)
    assert "planted" not in str(refused.value.__cause__)


def test_the_token_for_prometheus_comes_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(" t0ken\n")

    assert read_settings(prometheus="http://p", prometheus_token_file=tmp_path / "token").prometheus_token() == "t0ken"


@pytest.mark.parametrize(
    ("url", "content", "reason"),
    [
        ("http://p", None, "cannot be read: "),
        ("http://p", "", "holds no token"),
        ("http://p", "two\nlines", "holds something else than one token"),
        ("http://p", "two words", "holds something else than one token"),
        ("http://p", "schl\N{LATIN SMALL LETTER U WITH DIAERESIS}ssel", "holds something else than one token"),
        ("", "t0ken", "PRODBREAKER_PROMETHEUS is not set"),
        ("http://me@p", "t0ken", "PRODBREAKER_PROMETHEUS carries credentials already"),
    ],
)
def test_a_token_for_prometheus_that_cannot_be_used_is_refused(
    tmp_path: Path, url: str, content: str | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)

    with pytest.raises(SettingsError) as refused:
        read_settings(prometheus=url, prometheus_token_file=tmp_path / "token").prometheus_token()

    assert str(refused.value).startswith("PRODBREAKER_PROMETHEUS_TOKEN_FILE: ")
    assert reason in str(refused.value)
