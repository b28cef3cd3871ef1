"""Where settings come from, and what is said of those that make no sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import SettingsError
from app.settings import Settings


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.of({}) == Settings()


def test_each_variable_is_read() -> None:
    settings = Settings.of(
        {
            "DATABASE_URL": "postgresql://u@h:1/d", "REDIS_URL": "redis://r:2/3", "APP_VERSION": "7", "APP_REPLICA": "3",
            "APP_POOL_SIZE": "9", "APP_POOL_WAIT_SECONDS": "0.5", "APP_STATEMENT_SECONDS": "3", "APP_MAX_BODY_BYTES": "2048",
            "APP_CACHE_SECONDS": "10",
        }
    )  # fmt: skip
    assert settings == Settings("postgresql://u@h:1/d", "redis://r:2/3", "7", "3", 9, 0.5, 3.0, 2048, 10)


def test_a_password_comes_from_its_file_and_is_escaped(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("p@ss/word\n")
    env = {"DATABASE_URL": "postgresql://app@db:5432/app", "DATABASE_PASSWORD_FILE": str(secret)}
    assert Settings.of(env).database_url == "postgresql://app:p%40ss%2Fword@db:5432/app"


def test_a_url_comes_from_its_file_and_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://app:hush@db/app")
    settings = Settings.of({"DATABASE_URL_FILE": str(tmp_path / "url")})
    assert settings.database_url == "postgresql://app:hush@db/app"
    assert "hush" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APP_POOL_SIZE", "0"), ("APP_POOL_SIZE", "x"), ("APP_POOL_SIZE", "1.5"), ("APP_POOL_WAIT_SECONDS", "nan"),
        ("APP_STATEMENT_SECONDS", "-1"), ("DATABASE_URL", "mysql://hush@h/d"), ("DATABASE_URL", "//[hush"), ("REDIS_URL", "hush"),
        ("DATABASE_URL_FILE", "/nowhere"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_by_the_variables_name_without_its_value(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: ") as refused:
        Settings.of({name: value})
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"x" * 70_000, b"\xff"])
def test_a_file_that_holds_no_setting_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(SettingsError, match=r"^DATABASE_URL_FILE: "):
        Settings.of({"DATABASE_URL_FILE": str(tmp_path / "file")})


@pytest.mark.parametrize("url", ["postgresql://u:other@h/d", "postgresql://h/d"])
def test_two_passwords_or_none_to_belong_to_are_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^DATABASE_URL: "):
        Settings.of({"DATABASE_URL": url, "DATABASE_PASSWORD": "x"})
