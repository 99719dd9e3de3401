"""Settings of one box that become those of another."""

from pathlib import Path

from dotenv import dotenv_values

from appliance.backups.configuration import (
    Configuration,
    as_env,
    merged,
    parse,
    set_variables,
    write,
)
from appliance.settings import Settings

SECRET = "s3cret' \\ $HOME #x" + "y" * 32


def test_what_says_where_things_are_stays_and_everything_else_comes() -> None:
    ours = {"DATA_DIR": "/new", "JWT_SECRET": "new", "BIND_PORT": "1"}
    theirs = {"DATA_DIR": "/old", "RUN_DIR": "/old", "JWT_SECRET": "old", "PUBLIC_URL": "https://a"}  # fmt: skip

    assert merged(ours, theirs) == {
        "DATA_DIR": "/new",
        "JWT_SECRET": "old",
        "PUBLIC_URL": "https://a",
    }


def test_a_settings_file_says_exactly_what_was_set(tmp_path: Path) -> None:
    settings = Settings(
        jwt_secret=SECRET,
        open_registration=True,
        registry_auth_refresh_command='["/bin/login", "--json"]',
    )
    (tmp_path / ".env").write_text(as_env(set_variables(settings)))

    read = dotenv_values(tmp_path / ".env", interpolate=False)

    assert read["JWT_SECRET"] == SECRET
    assert read["OPEN_REGISTRATION"] == "true"
    assert read["REGISTRY_AUTH_REFRESH_COMMAND"] == '["/bin/login", "--json"]'


def test_what_is_sealed_is_read_again_and_never_shown() -> None:
    kept = Configuration({"JWT_SECRET": SECRET}, '{"keys": 1}', {"/etc/x": b"\xff"})

    again = parse(write(kept))

    assert (again.settings, again.master_keys, again.files) == (kept.settings, kept.master_keys, kept.files)  # fmt: skip
    assert SECRET not in repr(again)
