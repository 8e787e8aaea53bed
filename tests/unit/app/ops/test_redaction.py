"""What is secret, or looks like it, never leaves."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, SecretStr

from sovereign.app.ops.redaction import MASK, Redactor, redactor_for, secrets_of
from sovereign.core.configuration import Configuration


class Route(Configuration):
    token: SecretStr = Field(SecretStr("route-token-7f3a"))
    address: str = "https://user:p%40ss!word@example.invalid/x"


class Example(Configuration):
    webhook_url: str = "https://hooks.example.invalid/abcdef"
    route: Route = Route()
    keys: tuple[str, ...] = ()
    name: str = "plain-name"


def test_secrets_when_settings_hold_them_then_found_by_type_name_and_inside_urls():
    found = secrets_of(Example(), {})
    assert {"route-token-7f3a", "https://hooks.example.invalid/abcdef", "p%40ss!word", "p@ss!word"} <= found
    assert "plain-name" not in found


def test_secrets_when_environment_names_them_then_found_with_the_files_behind(tmp_path):
    (tmp_path / "secret").write_text("from-a-file-123\n")
    found = secrets_of(
        None,
        {
            "ALPACA_API_KEY": "alpaca-key-value",
            "RITHMIC_PASSWORD_FILE": str(tmp_path / "secret"),
            "SOME_TOKEN_FILE": str(tmp_path / "nothing"),
            "SHORT_KEY": "true",
            "HOSTNAME": "not-a-secret-name",
        },
    )
    assert found == {"alpaca-key-value", "from-a-file-123"}


@pytest.mark.parametrize(
    "text",
    [
        "posting to https://discord.com/api/webhooks/123456789/AbC-dEf_123xyz failed",
        "GET https://api.telegram.org/bot123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1/getMe",
        "key PKABCDEFGHIJ12345678 refused",
        "using db-ABCDEFGHIJKLMNOPQRSTUVWXYZ123",
        "Authorization: Bearer abcdef.123456-xyz",
        "Authorization: Basic dXNlcjpwYXNzd29yZA==",
        "https://host/path?api_key=abcdef123456&symbol=ES",
        '{"password": "hunter2hunter2"}',
        "postgresql+psycopg://me:hunter2hunter2@host/name",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLXBhcnQ",
    ],
)
def test_redact_when_token_has_a_known_shape_then_masked_without_being_named(text):
    secrets = (
        "AbC-dEf_123xyz",
        "AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1",
        "PKABCDEFGHIJ12345678",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ123",
        "abcdef.123456-xyz",
        "dXNlcjpwYXNzd29yZA",
        "abcdef123456",
        "hunter2",
        "c2lnbmF0dXJl",
    )
    masked = Redactor()(text)
    assert MASK in masked
    assert not any(secret in masked for secret in secrets)


@pytest.mark.parametrize(
    "text",
    [
        "order ESZ5-20251117-000001 filled at 6600.25",
        "token bucket has 5 left",
        "https://example.invalid/docs?page=2",
        "SPY 2025-11-17T15:00:00Z 167.40",
    ],
)
def test_redact_when_nothing_is_secret_then_unchanged(text):
    assert Redactor(["another-secret"])(text) == text


@given(
    secret=st.text(min_size=4, max_size=30).filter(lambda s: s.strip() == s and "*" not in s), before=st.text(), after=st.text()
)
def test_redact_when_a_secret_stands_anywhere_then_gone(secret, before, after):
    redact = Redactor([secret])
    assert secret not in redact(f"{before}|{secret}|{after}".replace(MASK, ""))
    inside = json.dumps({"event": f"x {secret} y"})
    assert secret not in json.loads(redact(inside))["event"]


def test_plain_when_a_key_promises_a_secret_then_its_value_is_hidden_whole():
    assert redactor_for(Example(), {}).plain({"api_key": ["a", "b"], "rows": (1, "route-token-7f3a")}) == {
        "api_key": MASK,
        "rows": [1, MASK],
    }
