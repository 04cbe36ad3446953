"""JSON requests to an API server, and its refusals as our errors. Does I/O.

Over the `kubernetes` package's client, which knows kubeconfigs, certificates and tokens. Requests that only
read are tried again when the connection or the server fails; whatever changes something is sent once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import urllib3
import yaml
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.rest import RESTResponse
from kubernetes.config import new_client_from_config
from kubernetes.config.config_exception import ConfigException
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from lablib.errors import (
    ClusterError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    TooManyRequests,
    Unreachable,
)

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 60.0
ATTEMPTS: Final = 5
BUSY: Final = frozenset({429, 500, 502, 503, 504})
"""Statuses after which reading again may help."""
ERRORS: Final[Mapping[int, tuple[type[ClusterError], str]]] = {
    400: (Invalid, "Correct the request."),
    401: (Forbidden, "Check the credentials in the kubeconfig: they may have expired."),
    403: (Forbidden, "Use an identity that may do this, or have the role, quota or policy changed."),
    404: (NotFound, ""),
    409: (Conflict, "List again: somebody else was first."),
    410: (Gone, "List again and watch from there."),
    422: (Invalid, "Correct the object."),
    429: (TooManyRequests, "Try again later."),
}


class Transport:
    """One connection pool to one API server; several threads may use it."""

    def __init__(self, kubeconfig: Path, context: str | None = None) -> None:
        self._client = _client(kubeconfig, context)
        self._client.user_agent = "lablib"  # the API server writes it beside what we change
        self.host: str = self._client.configuration.host

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON at `path`."""
        return _object(self.get_text(path, query))

    def get_text(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """The text at `path`, as logs are."""
        return str(_retrying()(self._text, "GET", _url(path, query)))

    def post(self, path: str, body: Mapping[str, Any]) -> None:
        """Create or act."""
        self._text("POST", path, body, "application/json")

    def patch(self, path: str, body: Mapping[str, Any]) -> None:
        """Send a JSON merge patch."""
        self._text("PATCH", path, body, "application/merge-patch+json")

    def delete(self, path: str, options: Mapping[str, Any]) -> None:
        """Delete, with DeleteOptions."""
        self._text("DELETE", path, options, "application/json")

    def lines(self, path: str, query: Mapping[str, str], timeout_seconds: float) -> Iterator[dict[str, Any]]:
        """The JSON objects of a stream, until it ends or has been silent for `timeout_seconds`."""
        try:
            response = _retrying()(self._send, "GET", _url(path, query), timeout_seconds=timeout_seconds)
        except Unreachable as error:
            if isinstance(error.__cause__, urllib3.exceptions.ReadTimeoutError):
                return  # the server accepted, and had nothing to say in that time
            raise
        stream = response.response
        try:
            if response.status >= 300:
                raise error_of(response.status, stream.data.decode(errors="replace"), path)
            rest = b""
            for chunk in stream.stream(amt=None):
                *complete, rest = (rest + chunk).split(b"\n")
                yield from (_object(line.decode()) for line in complete if line)
        except (urllib3.exceptions.HTTPError, OSError):
            return  # whoever watches goes on from the last object, or finds that nobody answers
        finally:
            stream.close()

    def _text(self, method: str, url: str, body: Mapping[str, Any] | None = None, content: str = "") -> str:
        response = self._send(method, url, body, content)
        try:
            text = response.read().decode(errors="replace")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(error) from error
        if response.status >= 300:
            raise error_of(response.status, text, url.partition("?")[0])
        return str(text)

    def _send(
        self,
        method: str,
        url: str,
        body: Mapping[str, Any] | None = None,
        content: str = "",
        timeout_seconds: float = READ_SECONDS,
    ) -> RESTResponse:
        headers = {"Accept": "application/json"} | ({"Content-Type": content} if content else {})
        request = self._client.param_serialize(
            method, url, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        try:
            return self._client.call_api(*request, _request_timeout=(CONNECT_SECONDS, timeout_seconds))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(
            f"the API server does not answer: {error}",
            where=self.host,
            remedy="See `lablib cluster status`; `lablib cluster up` starts or mends the lab's own cluster.",
        )


def error_of(status: int, text: str, where: str) -> ClusterError:
    """Our error for an API server's refusal, with the server's own message."""
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    message = answer.get("message") if isinstance(answer, dict) else None
    what = message or text.strip()[:200] or f"the API server answered with status {status}"
    kind, remedy = ERRORS.get(status, (ClusterError, "See the API server's log."))
    error = kind(what, where=where, remedy=remedy)
    error.status = status
    return error


def _client(kubeconfig: Path, context: str | None) -> ApiClient:
    # Fresh, since the package's default Configuration is shared: a second identity would change the first.
    configuration = Configuration()
    configuration.retries = False
    try:
        client: ApiClient = new_client_from_config(
            str(kubeconfig), context, persist_config=False, client_configuration=configuration
        )
    except (ConfigException, OSError, TypeError, ValueError, yaml.YAMLError) as error:
        raise ClusterError(
            f"the kubeconfig can't be used: {error}",
            where=str(kubeconfig),
            remedy="Name another one, or another context in it: `kubectl config get-contexts`.",
        ) from error
    if urlsplit(configuration.host).hostname in ("127.0.0.1", "localhost", "::1") and configuration.proxy:
        configuration.proxy = None  # a proxy in the environment can't reach this machine's loopback
        client = ApiClient(configuration)
    return client


def _retrying() -> Retrying:
    return Retrying(
        retry=retry_if_exception(_may_pass),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential_jitter(multiplier=0.1, max=2.0),
        reraise=True,
    )


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, Unreachable):
        return not isinstance(error.__cause__, urllib3.exceptions.ReadTimeoutError)  # that was long enough
    return isinstance(error, ClusterError) and error.status in BUSY


def _url(path: str, query: Mapping[str, str] | None) -> str:
    pairs = [f"{quote(key)}={quote(value)}" for key, value in (query or {}).items()]
    return f"{path}?{'&'.join(pairs)}" if pairs else path


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ClusterError("the API server's answer is not JSON", remedy="Is it one?") from error
    return value if isinstance(value, dict) else {}
