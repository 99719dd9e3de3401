"""Settings: where values come from, and what is said when they are wrong."""

from pathlib import Path

import pytest

from appliance.settings import Settings, SettingsError, load_settings

SECRET = "s" * 32


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run where neither the developer's environment nor their files are seen."""
    for name in [*Settings.model_fields, "mcp_host_config"]:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def problem() -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings()
    return str(caught.value)


def test_a_missing_secret_is_told_with_the_way_to_make_one() -> None:
    text = problem()

    assert text.startswith("JWT_SECRET is not set.")
    assert "openssl rand -base64 48" in text


def test_a_short_secret_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JWT_SECRET", "too-short-a-secret")

    with pytest.raises(SettingsError) as caught:
        load_settings()

    assert "JWT_SECRET: must be at least 32 bytes" in str(caught.value)
    assert "too-short-a-secret" not in repr(caught.value) + repr(caught.value.__cause__)


def test_the_environment_wins_over_the_env_file_and_that_over_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.yaml").write_text(
        f"JWT_SECRET: {SECRET}\nbind_port: 1\nhub_timeout: 1\nGW_WORKERS: 1\n"
    )
    (tmp_path / ".env").write_text("BIND_PORT=2\nHUB_TIMEOUT=2\n")
    monkeypatch.setenv("MCP_HOST_CONFIG", str(tmp_path / "config.yaml"))
    monkeypatch.setenv("BIND_PORT", "3")

    settings = load_settings()

    assert (settings.bind_port, settings.hub_timeout, settings.gw_workers) == (3, 2, 1)
    assert settings.jwt_secret.get_secret_value() == SECRET


@pytest.mark.parametrize("name", [".env", "config.yaml"])
def test_an_unknown_key_in_a_file_is_refused_by_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWT_SECRET", SECRET)
    monkeypatch.setenv("MCP_HOST_CONFIG", str(tmp_path / "config.yaml"))
    (tmp_path / "config.yaml").write_text("")
    (tmp_path / name).write_text("BINDPORT=1" if name == ".env" else "bindport: 1")

    assert problem().startswith("BINDPORT is not a setting of MCP Host.")


def test_the_environment_may_hold_what_is_not_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JWT_SECRET", SECRET)
    monkeypatch.setenv("SOME_OTHER_PROGRAM", "1")

    assert load_settings().bind_port == 3000


def test_an_empty_value_is_unset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWT_SECRET", SECRET)
    monkeypatch.setenv("DOCKER_HOST", "")
    (tmp_path / ".env").write_text("DATABASE_URL=\nBIND_PORT=\n")

    settings = load_settings()

    assert (settings.docker_host, settings.database_url, settings.bind_port) == (
        None,
        None,
        3000,
    )


def test_a_dollar_sign_is_a_dollar_sign(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        f"JWT_SECRET={SECRET}\nDATABASE_URL='postgresql://a:p${{HOME}}w@h/d'\n"
    )

    url = load_settings().database_url

    assert url is not None
    assert url.get_secret_value() == "postgresql://a:p${HOME}w@h/d"


def test_every_wrong_value_has_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JWT_SECRET", SECRET)
    monkeypatch.setenv("BIND_PORT", "70000")
    monkeypatch.setenv("LOG_LEVEL", "loud")

    lines = problem().splitlines()

    assert [line.split(":")[0] for line in lines] == ["BIND_PORT", "LOG_LEVEL"]
    assert "65535" in lines[0]
    assert "'debug', 'info', 'warning' or 'error'" in lines[1]


def test_a_level_may_be_written_in_capitals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET", SECRET)
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")

    assert load_settings().log_level == "debug"


def test_a_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_HOST_CONFIG", "/nowhere/config.yaml")

    assert (
        problem()
        == "MCP_HOST_CONFIG: cannot read /nowhere/config.yaml: No such file or directory."
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"jwt_secret: [{SECRET}\n", "is not YAML"),
        (f"- {SECRET}\n", "must be a mapping"),
    ],
)
def test_a_broken_file_is_told_without_its_content(
    text: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    monkeypatch.setenv("MCP_HOST_CONFIG", str(path))

    found = problem()

    assert told in found
    assert SECRET not in found


def test_secrets_do_not_show_when_settings_are_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JWT_SECRET", SECRET)

    assert SECRET not in repr(load_settings()) + str(load_settings())


def test_a_command_is_a_json_list_wherever_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWT_SECRET", SECRET)
    written = '["/bin/login", "a b", "$HOME"]'
    expected = ("/bin/login", "a b", "$HOME")

    monkeypatch.setenv("REGISTRY_AUTH_REFRESH_COMMAND", written)
    from_environment = load_settings().registry_auth_refresh_command
    monkeypatch.delenv("REGISTRY_AUTH_REFRESH_COMMAND")
    (tmp_path / ".env").write_text(f"REGISTRY_AUTH_REFRESH_COMMAND={written}\n")
    from_file = load_settings().registry_auth_refresh_command

    assert (from_environment, from_file) == (expected, expected)


@pytest.mark.parametrize("value", ["login --json", "[]", "[1]", '{"a": 1}', '[""]'])
def test_a_command_that_is_no_list_of_texts_is_refused(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWT_SECRET", SECRET)
    monkeypatch.setenv("REGISTRY_AUTH_REFRESH_COMMAND", value)

    assert problem().startswith("REGISTRY_AUTH_REFRESH_COMMAND: must be a JSON list")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"OIDC_ISSUER": "https://i.example"}, "OIDC_ISSUER needs OIDC_CLIENT_ID."),
        ({"OIDC_ISSUER": "http://i.example"}, "OIDC_ISSUER: must be an https URL"),
        ({"OIDC_SCOPES": "email"}, "OIDC_SCOPES: must hold openid"),
        ({"OIDC_ROLES": "ops=king"}, "OIDC_ROLES: ops gives 'king'; the roles are"),
        ({"OIDC_ORGS": "ops=acme"}, "OIDC_ORGS: ops gives 'acme'; give ORGANISATION"),
        ({"PASSWORD_SIGN_IN": "false"}, "PASSWORD_SIGN_IN=false needs OIDC_ISSUER"),
    ],
)
def test_a_way_in_that_cannot_work_is_told(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], said: str
) -> None:
    monkeypatch.setenv("JWT_SECRET", SECRET)
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    assert problem().startswith(said)
