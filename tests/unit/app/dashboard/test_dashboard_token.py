"""Tokens: only this instance's, only while they hold, only for the key."""

import jwt
import pytest

from sovereign.app.dashboard.token import AUDIENCE, TokenRefusedError, Tokens


class Clock:
    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


def made(clock, key="key"):
    return Tokens(key, token_s=60, secret_s=600, clock=clock)


def test_exchange_when_key_is_right_then_token_carries_the_name():
    tokens = made(Clock())
    grant = tokens.exchange("key", "anna")
    assert tokens.check(grant.token) == "anna"
    assert grant.expires_s == 1_000_060


@pytest.mark.parametrize("key", ["", "Key", "key ", "ключ"])
def test_exchange_when_key_is_wrong_then_refused(key):
    with pytest.raises(TokenRefusedError, match="access key"):
        made(Clock()).exchange(key, "anna")


def test_check_when_time_is_over_then_refused():
    clock = Clock()
    tokens = made(clock)
    token = tokens.grant("anna").token
    clock.now += 59
    assert tokens.check(token) == "anna"
    clock.now += 1
    with pytest.raises(TokenRefusedError, match="over"):
        tokens.check(token)


def test_check_when_token_is_of_another_instance_then_refused():
    clock = Clock()
    with pytest.raises(TokenRefusedError, match="not made by this instance"):
        made(clock).check(made(clock).grant("anna").token)


def test_check_when_secret_was_replaced_then_earlier_tokens_hold_to_their_end():
    clock = Clock()
    tokens = Tokens("key", token_s=60, secret_s=30, clock=clock)
    token = tokens.grant("anna").token
    clock.now += 45
    other = tokens.grant("bert").token
    assert jwt.get_unverified_header(token)["kid"] != jwt.get_unverified_header(other)["kid"]
    assert tokens.check(token) == "anna"


def test_check_when_token_is_unsigned_or_signed_otherwise_then_refused():
    tokens = made(Clock())
    kid = jwt.get_unverified_header(tokens.grant("anna").token)["kid"]
    claims = {"iss": tokens.instance, "aud": AUDIENCE, "sub": "eve", "iat": 1_000_000, "exp": 2_000_000}
    forged = [
        jwt.encode(claims, None, algorithm="none", headers={"kid": kid}),
        jwt.encode(claims, "x" * 64, algorithm="HS256", headers={"kid": kid}),
        jwt.encode(claims, "x" * 64, algorithm="HS512", headers={"kid": kid}),
        "a.b.c",
        "",
    ]
    for token in forged:
        with pytest.raises(TokenRefusedError):
            tokens.check(token)


def test_key_when_none_is_set_then_long_and_new_every_time():
    one, other = (Tokens("", token_s=1, secret_s=1).key for _ in range(2))
    assert one != other
    assert len(one) >= 24
