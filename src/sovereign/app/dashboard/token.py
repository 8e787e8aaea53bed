"""Tokens: the access key is exchanged for a short-lived JWT, signed with a secret that is made anew every few hours.

Secrets live in memory alone and every instance has its own, so a token of another instance, or of this one before a restart,
is worth nothing. A token names its secret (`kid`); the secret before the present one is kept until its last token is over.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sovereign.core.errors import SovereignError

if TYPE_CHECKING:
    from sovereign.app.dashboard.configuration import DashboardConfig

AUDIENCE = "sovereign"
_ALGORITHM = "HS256"


class TokenRefusedError(SovereignError):
    """A key or token that is not valid here; `reason` is a word for programs."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A token and the second (UTC, since 1970) from which it is void."""

    token: str
    expires_s: int


@dataclass(frozen=True, slots=True)
class _Secret:
    kid: str
    value: str
    made_s: float


class Tokens:
    """Makes and checks tokens. Safe to use from several threads.

    Parameters
    ----------
    key : the access key; empty makes one.
    token_s, secret_s : life of a token, and of a secret, seconds.
    """

    def __init__(self, key: str, *, token_s: float, secret_s: float, clock: Callable[[], float] = time.time) -> None:
        self.key = key or secrets.token_urlsafe(18)
        self.instance = secrets.token_hex(8)
        self._token_s, self._secret_s, self._clock = token_s, secret_s, clock
        self._lock = threading.Lock()
        self._secrets = [self._new()]

    def _new(self) -> _Secret:
        return _Secret(secrets.token_hex(4), secrets.token_hex(32), self._clock())

    def _current(self) -> _Secret:
        with self._lock:
            if self._clock() - self._secrets[-1].made_s >= self._secret_s:
                self._secrets.append(self._new())
            horizon = self._clock() - self._secret_s - self._token_s
            self._secrets = [one for one in self._secrets if one.made_s > horizon]
            return self._secrets[-1]

    def exchange(self, key: str, name: str) -> Grant:
        """Return a token for the access key, under a name that commands will carry.

        Raises
        ------
        TokenRefusedError : it is not the key.
        """
        if not hmac.compare_digest(key.encode(), self.key.encode()):
            raise TokenRefusedError("the access key was not this instance's; it was printed when the dashboard started", "key")
        return self.grant(name)

    def grant(self, name: str) -> Grant:
        """Return a token for a name."""
        import jwt

        secret, now = self._current(), self._clock()
        expires = int(now + self._token_s)
        claims = {
            "iss": self.instance,
            "aud": AUDIENCE,
            "sub": name,
            "iat": int(now),
            "exp": expires,
            "jti": secrets.token_hex(8),
        }
        token = jwt.encode(claims, secret.value, algorithm=_ALGORITHM, headers={"kid": secret.kid})
        return Grant(token=token, expires_s=expires)

    def check(self, token: str) -> str:
        """Return the name that a token was given to.

        Raises
        ------
        TokenRefusedError : it is over, of another instance, or no token.
        """
        import jwt

        self._current()
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            secret = next((one for one in self._secrets if one.kid == kid), None)
            if secret is None:
                raise TokenRefusedError("the token was not made by this instance; exchange the access key for one", "foreign")
            claims = jwt.decode(
                token,
                secret.value,
                algorithms=[_ALGORITHM],
                audience=AUDIENCE,
                issuer=self.instance,
                options={"require": ["exp", "iat", "sub"], "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
            expires = int(claims["exp"])
        except (jwt.PyJWTError, ValueError, TypeError) as cause:
            raise TokenRefusedError("the token could not be read; exchange the access key for one", "broken") from cause
        if self._clock() >= expires:
            raise TokenRefusedError("the token was over; renew it in time, or exchange the access key again", "expired")
        return str(claims["sub"])


def tokens_of(config: DashboardConfig, clock: Callable[[], float] = time.time) -> Tokens:
    """Return the tokens of a new instance; `clock` gives seconds since 1970."""
    key, token_s, secret_s = config.key.get_secret_value(), config.login_minutes * 60.0, config.rotation_hours * 3_600.0
    return Tokens(key, token_s=token_s, secret_s=secret_s, clock=clock)
