"""The REST base stream: how the API is asked, and what its errors mean."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import backoff
import requests
from singer_sdk.authenticators import BearerTokenAuthenticator
from singer_sdk.exceptions import RetriableAPIError
from singer_sdk.streams import RESTStream
from singer_sdk.streams.rest import PageContext

from tap_betterdata.api.answers import (
    MalformedResponseError,
    error_code,
    error_text,
    parse_object,
)
from tap_betterdata.api.decoding import decode
from tap_betterdata.api.errors import (
    ENDPOINT_REFUSED_CODES,
    KEY_REFUSED_CODES,
    BadRequestError,
    KeyRefusedError,
    RefusedError,
    RejectedError,
    TapError,
    UnavailableError,
    advice,
    describe_request,
    mend,
    no_answer,
)
from tap_betterdata.api.rate_limit_headers import parse_date
from tap_betterdata.api.redaction import redact
from tap_betterdata.compat import override

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from backoff.types import Details
    from singer_sdk.tap_base import Tap

    from tap_betterdata.api.connection import Connection

T = TypeVar("T")

_MAX_PAUSE = 60.0
# What no other try will change.
_FINAL_ERRORS = (
    requests.exceptions.SSLError,
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidHeader,
)


class ApiStream(RESTStream[int]):
    """A stream whose endpoint is asked with the run's session, rate limit and key."""

    extra_retry_statuses = (408, 425)
    # For advice: what the endpoint asks of a key, and whether it has locations.
    permission: str
    has_locations = False

    def __init__(self, tap: Tap, connection: Connection) -> None:
        """Make the stream."""
        super().__init__(tap=tap)
        self.tap = tap
        self.connection = connection
        self.requests = 0
        self.retries = 0

    @property
    @override
    def url_base(self) -> str:
        """The base URL; documented: `https://app.betterdata.co/api`."""
        return self.connection.api_url

    @property
    @override
    def requests_session(self) -> requests.Session:
        """The run's one session, so that all share its limits and connections."""
        return self.connection.session

    @cached_property
    @override
    def authenticator(self) -> BearerTokenAuthenticator:
        """Documented: `Authorization: Bearer <key>`."""
        return BearerTokenAuthenticator(token=self.connection.api_key)

    @property
    @override
    def http_headers(self) -> dict[str, str]:
        """Documented for every request, GET included: a JSON content type."""
        name = f"{self.tap.name}/{self.tap.plugin_version}"
        return {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": self.config.get("user_agent") or name,
        }

    def check_body(self, body: Mapping[str, Any]) -> None:
        """Raise MalformedResponseError if what stands beside the rows is odd."""

    def read_one(self, params: Mapping[str, Any], *, holds: str) -> dict[str, Any]:
        """Ask an endpoint that answers with an object, which holds another one."""

        def read(response: requests.Response) -> dict[str, Any]:
            body = parse_object(response.content)
            if not body.get(holds) or not isinstance(body[holds], dict):
                msg = f"no {holds}"
                raise MalformedResponseError(msg)
            self.check_body(body)
            return body

        return self.request(params, read)

    def request(
        self,
        params: Mapping[str, Any],
        read: Callable[[requests.Response], T],
        page: int | None = None,
    ) -> T:
        """Ask for something, again and again if that may help.

        `read` reads an answer or raises MalformedResponseError; `page` is for messages.

        Raises:
            TapError: If the API does not give it.
        """
        where = describe_request(self.name, params, page)
        began = time.monotonic()
        tries = 0

        def exchange() -> T:
            nonlocal tries
            tries += 1
            response = self._send(self._prepare(params))
            self.validate_response(response)
            try:
                return read(response)
            except MalformedResponseError as error:
                msg = f"the API answered 200 with {redact(str(error))}"
                raise RetriableAPIError(msg, response) from error

        try:
            return self._retrying(exchange, where)()
        except TapError as error:
            if error is not self.connection.fatal_error:
                error.args = (f"{where}: {error}",)
                self._note_end(error)
            raise
        except (RetriableAPIError, requests.RequestException) as error:
            msg = (
                f"{where}: {self._say(error)}, in {tries} tries over "
                f"{time.monotonic() - began:.0f} s. {mend(error)}"
            )
            was_answered = isinstance(error, RetriableAPIError)
            unavailable = UnavailableError(msg, ends_run=not was_answered)
            self._note_end(unavailable)
            raise unavailable from error

    def _retrying(self, exchange: Callable[[], T], where: str) -> Callable[[], T]:
        """Repeat what may pass, as the SDK's hooks for retries say.

        The SDK's own decorator has the library log a second line for each try, and
        repeats what can't pass, such as a wrong certificate.
        """

        def is_final(error: Exception) -> bool:
            return isinstance(error, _FINAL_ERRORS) or self.connection.stop.is_set()

        def say(details: Details) -> None:
            self.retries += 1
            self.logger.warning(
                "%s: %s. Trying again in %.1f s (retry %d of %d).",
                where,
                self._say(details["exception"]),
                details["wait"],
                details["tries"],
                self.backoff_max_tries() - 1,
            )

        return backoff.on_exception(
            self.backoff_wait_generator,
            (RetriableAPIError, requests.RequestException),
            max_tries=self.backoff_max_tries,
            giveup=is_final,
            on_backoff=say,
            jitter=self.backoff_jitter,
            logger=None,
        )(exchange)

    @override
    def backoff_wait_generator(self) -> Generator[float, None, None]:
        """Wait 1, 2, 4 … seconds, a minute at most.

        With the default of eight retries that rides out three minutes.
        """
        return backoff.expo(max_value=_MAX_PAUSE)

    @override
    def backoff_max_tries(self) -> int:
        """Return how often a request is sent at most: once, and the retries."""
        return int(self.config["max_retries"]) + 1

    def _note_end(self, error: TapError) -> None:
        if error.ends_run:
            self.connection.fatal_error = error

    def _send(self, request: requests.PreparedRequest) -> requests.Response:
        """Send a request; being limited (429) is no failure, it is sent again.

        The rate limiter knows how long to wait before that, and when to give up.
        """
        while True:
            if self.connection.fatal_error is not None:
                raise self.connection.fatal_error
            self.requests += 1
            response = self.requests_session.send(request)
            if response.status_code != HTTPStatus.TOO_MANY_REQUESTS:
                return response
            self.retries += 1

    @cached_property
    def _bare_request(self) -> requests.PreparedRequest:
        """The endpoint's request without parameters: nothing else differs.

        To make all of it anew for each page takes a tenth of the tap's CPU time.
        """
        request = self.get_http_request(page=PageContext(None, None))
        return self.build_prepared_request(
            method=request.method, url=request.url, headers=request.headers
        )

    def _prepare(self, params: Mapping[str, Any]) -> requests.PreparedRequest:
        request = self._bare_request.copy()
        request.prepare_url(str(request.url), dict(params))
        return request

    @override
    def validate_response(self, response: requests.Response) -> None:
        """Tell apart what passes, what may pass later, and what never will.

        Raises:
            RetriableAPIError: For 408, 425, server errors, and what is neither an
                error nor the answer, such as 204.
            TapError: For other errors, and redirects.
        """
        status = response.status_code
        if status == HTTPStatus.OK:
            return
        if response.is_redirect:
            host = redact(_host(response.headers["Location"]))
            msg = (
                f"the API answered {status}, a redirect"
                f"{f' to {host}' if host else ''}, which is not followed, since the "
                "key goes to no other address. Set api_url to the right one"
            )
            raise RejectedError(msg)
        body = _body(response)
        said = redact(error_text(body) or str(response.reason or ""))
        message = f"the API answered {status} {said}".rstrip()
        is_error = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
        if not is_error or status in self.extra_retry_statuses:
            raise RetriableAPIError(message, response)
        code = error_code(body)
        message += ". What to do: " + advice(
            status, code, self.permission, has_locations=self.has_locations
        )
        if status == HTTPStatus.UNAUTHORIZED or code in KEY_REFUSED_CODES:
            raise KeyRefusedError(message)
        if status in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
            raise RefusedError(
                message,
                whole_endpoint=code in ENDPOINT_REFUSED_CODES,
                not_found=status == HTTPStatus.NOT_FOUND,
            )
        if status == HTTPStatus.BAD_REQUEST:
            raise BadRequestError(message)
        raise RejectedError(message)

    def _say(self, error: Exception) -> str:
        if isinstance(error, RetriableAPIError):
            return str(error)
        return redact(no_answer(error, urlsplit(self.connection.api_url).netloc))


def answered_at(response: requests.Response) -> datetime:
    """Return when an answer was given: its `Date`, else when it was asked for."""
    asked = datetime.now(tz=UTC) - response.elapsed
    return parse_date(response.headers.get("Date", "")) or asked


def _body(response: requests.Response) -> dict[str, Any]:
    try:
        body = decode(response.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _host(url: str) -> str:
    try:
        # Without a user and password.
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""
