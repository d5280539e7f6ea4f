"""HTTP with bounds: https only, redirects looked at one by one, patience with servers that fail for a moment."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

from qualityfm.errors import ConfigError, SourceError, problem

T = TypeVar("T")

#: All figures of this file are our own choice.
CONNECT_S, READ_S = 10.0, 60.0
MAX_REDIRECTS = 5
MAX_TRIES = 5
MAX_TRIES_OFFLINE = 3
FIRST_WAIT_S, MAX_WAIT_S = 1.0, 60.0
#: Answers that may be different in a moment. Source: RFC 9110, RFC 6585.
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class PassingError(Exception):
    """A request failed in a way that may pass; the message says how. Never leaves this room.

    Args:
        message: What happened.
        what: What it means.
        wait_s: How long the server asks to wait, s.
        max_tries: After how many such failures to give up.
    """

    def __init__(
        self, message: str, *, what: str = "cannot fetch", wait_s: float = 0.0, max_tries: int = MAX_TRIES
    ) -> None:
        super().__init__(message)
        self.what = what
        self.wait_s = wait_s
        self.max_tries = max_tries


class Stopped(Exception):  # noqa: N818 - no error: the user asked for it
    """Work was given up because somebody asked to stop."""


class Web:
    """Requests to the homes of data sets, or to a mirror of them.

    Attributes:
        stop: Set it, and waiting and reading end with `Stopped`.

    Args:
        mirror: URL in place of the home's scheme and host; paths stay as they are at the home. None for the home.
        first_wait_s: Wait before the first retry, s; doubled each time. None for `FIRST_WAIT_S`.

    Raises:
        ConfigError: The mirror is neither https nor on this machine.
    """

    def __init__(self, mirror: str | None = None, *, first_wait_s: float | None = None) -> None:
        import requests

        self._requests = requests
        self._mirror = mirror.rstrip("/") if mirror else None
        self._first_wait_s = FIRST_WAIT_S if first_wait_s is None else first_wait_s
        self._local = threading.local()
        self.stop = threading.Event()
        if self._mirror and not is_safe_url(self._mirror):
            expected = "an https:// URL (http:// on this machine only)"
            raise ConfigError(
                problem("wrong setting", where="fetch", field="--mirror", found=mirror, expected=expected)
            )

    def url(self, home_url: str) -> str:
        """Return where a file of a home is really asked for."""
        if self._mirror is None:
            return home_url
        parts = urlsplit(home_url)
        return self._mirror + parts.path + (f"?{parts.query}" if parts.query else "")

    def read_small(self, home_url: str, max_bytes: int) -> bytes:
        """Return a small document, such as a list of files.

        Raises:
            SourceError: There is no network, no such document, or it is larger than `max_bytes`.
        """

        def read() -> bytes:
            with self.open(home_url) as answer:
                self.refuse_unless(answer, home_url, {200})
                content = b""
                for chunk in self.chunks(answer):
                    content += chunk
                    if len(content) > max_bytes:
                        expected = f"at most {max_bytes} bytes"
                        found = f"more than {max_bytes}"
                        raise SourceError(
                            problem(
                                "document too large",
                                where=self.url(home_url),
                                field="size",
                                found=found,
                                expected=expected,
                            )
                        )
                return content

        return self.with_patience(read, home_url)

    def with_patience(self, action: Callable[[], T], home_url: str) -> T:
        """Return what an action returns; one that fails in a passing way is tried again, with growing waits.

        Args:
            action: Raises `PassingError` where a retry may help.
            home_url: What it asks for, for messages.

        Raises:
            SourceError: It failed too often.
            Stopped: Somebody asked to stop.
        """
        num_tries, wait_s = 0, self._first_wait_s
        while True:
            if self.stop.is_set():
                raise Stopped
            try:
                return action()
            except PassingError as error:
                num_tries += 1
                if num_tries >= error.max_tries:
                    raise self._given_up(error, home_url, num_tries) from error
                self.stop.wait(min(max(wait_s, error.wait_s), MAX_WAIT_S))
                wait_s *= 2

    def _given_up(self, error: PassingError, home_url: str, num_tries: int) -> SourceError:
        url = self.url(home_url)
        advice = f"tried {num_tries} times; run the same command again, it goes on where it stopped"
        return SourceError(
            problem(
                f"{error.what}: {urlsplit(url).hostname}",
                where=url,
                field="answer",
                found=str(error),
                expected="the file",
                advice=advice,
            )
        )

    @contextmanager
    def open(self, home_url: str, headers: dict[str, str] | None = None) -> Iterator[Any]:
        """Yield the answer to a request, its body not yet read.

        Raises:
            PassingError: The connection failed or timed out.
            SourceError: The host cannot be reached at all, or a redirect leads to an unsafe place.
        """
        url = self.url(home_url)
        for _ in range(MAX_REDIRECTS + 1):
            if not is_safe_url(url):
                expected = "https (http on this machine only)"
                raise SourceError(
                    problem("unsafe address", where=home_url, field="redirect", found=url, expected=expected)
                )
            answer = self._ask(url, headers or {})
            if not answer.is_redirect:
                break
            answer.close()
            url = urljoin(url, answer.headers["location"])
        else:
            expected = f"at most {MAX_REDIRECTS}"
            raise SourceError(
                problem("redirected in circles", where=home_url, field="redirects", found=url, expected=expected)
            )
        try:
            yield answer
        finally:
            answer.close()

    def _ask(self, url: str, headers: dict[str, str]) -> Any:
        errors = self._requests.exceptions
        host = str(urlsplit(url).hostname)
        # On this machine there is no proxy. `identity`: sizes, ranges and checksums are those of the file itself.
        proxies = {"http": None, "https": None} if is_loopback(host) else None
        try:
            return self._session().get(
                url,
                headers={"Accept-Encoding": "identity", **headers},
                stream=True,
                allow_redirects=False,
                timeout=(CONNECT_S, READ_S),
                proxies=proxies,
            )
        except errors.SSLError as error:
            raise SourceError(
                problem(
                    "no trust", where=host, field="certificate", found=_reason(error), expected="a valid certificate"
                )
            ) from error
        except (errors.ConnectionError, errors.Timeout) as error:
            raise PassingError(_reason(error), what="no network", max_tries=MAX_TRIES_OFFLINE) from error
        except errors.RequestException as error:
            raise SourceError(
                problem("cannot ask", where=host, field="request", found=_reason(error), expected="an answer")
            ) from error

    def _session(self) -> Any:
        """Return this thread's session; it sends no passwords, wherever some may be stored on this machine."""
        if not hasattr(self._local, "session"):
            self._local.session = self._requests.Session()
            self._local.session.auth = _send_no_password
            self._local.session.headers["User-Agent"] = "qualityfm-fetch"
        return self._local.session

    def refuse_unless(self, answer: Any, home_url: str, expected: set[int]) -> None:
        """Refuse an answer with another status.

        Raises:
            PassingError: The status may pass.
            SourceError: It will not.
        """
        status = int(answer.status_code)
        if status in expected:
            return
        if status in PASSING:
            raise PassingError(f"status {status}", wait_s=_asked_wait_s(answer))
        advice = "the home has moved or changed it; see the data set's page" if status in {404, 410} else ""
        advice = "the home wants a login or refuses this network" if status in {401, 403, 451} else advice
        raise SourceError(
            problem(
                "cannot fetch", where=self.url(home_url), field="status", found=status, expected="200", advice=advice
            )
        )

    def chunks(self, answer: Any, size: int = 1 << 18) -> Iterator[bytes]:
        """Yield the body of an answer as it arrives.

        Raises:
            PassingError: The connection was cut.
            Stopped: Somebody asked to stop.
        """
        errors = self._requests.exceptions
        try:
            for chunk in answer.iter_content(size):
                if self.stop.is_set():
                    raise Stopped
                yield chunk
        except (errors.ChunkedEncodingError, errors.ConnectionError, errors.Timeout) as error:
            raise PassingError(f"the connection was cut: {_reason(error)}") from error


def is_safe_url(url: str) -> bool:
    """Return whether a URL may be asked: https without a password in it, or http on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return False
    if not host or parts.username or parts.password:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _send_no_password(request: Any) -> Any:
    return request


def _asked_wait_s(answer: Any) -> float:
    """Return the seconds of a Retry-After header; 0 where it is missing or a date."""
    try:
        return max(0.0, float(answer.headers.get("Retry-After", "0")))
    except ValueError:
        return 0.0


def _reason(error: BaseException) -> str:
    """Return the innermost cause in a few words: the libraries wrap it four times."""
    cause: BaseException = error
    seen: set[int] = set()
    while id(cause) not in seen:
        seen.add(id(cause))
        inner = (
            getattr(cause, "reason", None)
            or cause.__cause__
            or next((a for a in cause.args if isinstance(a, BaseException)), None)
        )
        if not isinstance(inner, BaseException):
            break
        cause = inner
    return " ".join(str(cause).split())[:200] or type(cause).__name__
