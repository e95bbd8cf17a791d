"""What can go wrong, each as one line that names the cause and the mend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import requests
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError
from urllib3.exceptions import NameResolutionError, NewConnectionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Kind = Literal["config", "transient", "system"]

_ADVICE = {
    "MISSING_AUTHORIZATION": "set api_key",
    "INVALID_API_KEY": (
        "check api_key: keys begin with bdk_, and are made under "
        "Admin > Integrations > API Keys"
    ),
    "EXPIRED_API_KEY": "the key has expired: make a new one and set api_key to it",
    "REVOKED_API_KEY": "the key was revoked: make a new one and set api_key to it",
    "UNAUTHORIZED": "check api_key",
    "INACTIVE_ORGANIZATION": (
        "the key's organization is inactive: ask its administrator or the vendor"
    ),
    "IP_RESTRICTION": (
        "the key may not be used from this address: add the address to the key, or "
        "run the tap where the key is allowed"
    ),
    "INSUFFICIENT_SCOPE": "give the key the permission {permission}",
    "FORBIDDEN": "give the key the permission {permission}",
    "NOT_FOUND": "check api_url",
    "VALIDATION_ERROR": "check the settings that this request was made from",
    "RATE_LIMIT_EXCEEDED": "wait, or lower requests_per_minute and requests_per_hour",
    "CONFLICT": "try again later; if it stays, ask the vendor",
}
_CODE_BY_STATUS = {
    400: "VALIDATION_ERROR",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    409: "CONFLICT",
    429: "RATE_LIMIT_EXCEEDED",
}
_ADVICE_ON_LOCATIONS = {
    "FORBIDDEN": (
        f"{_ADVICE['FORBIDDEN']}, or set location_ids to the locations that it may read"
    ),
    "NOT_FOUND": "check location_ids and api_url",
}
# The whole key is refused, not one location or endpoint: asking on is of no use.
KEY_REFUSED_CODES = frozenset({"INACTIVE_ORGANIZATION", "IP_RESTRICTION"})
# One endpoint is refused, whatever the location.
ENDPOINT_REFUSED_CODES = frozenset({"INSUFFICIENT_SCOPE"})


class TooLargeError(RetriableAPIError):
    """An answer has more bytes than one may have.

    It is no OSError, so that the HTTP libraries pass it on as it is.
    """


class TapError(FatalAPIError):
    """An end of the run that one line explains; the line is the message."""

    # Whether it is of no use to ask for anything else.
    ends_run = False
    # What mends it: what the user has set or may see ("config"), another try
    # ("transient"), or work on the tap, the API or the machine.
    kind: Kind = "system"


class SettingsError(TapError):
    """A setting, or the file or variable that it came from, can't be used."""

    ends_run = True
    kind = "config"


class StateError(TapError):
    """The state that was handed to the tap can't be used."""

    kind = "config"


class KeyRefusedError(TapError):
    """The API refuses the key: nothing more can be read."""

    ends_run = True
    kind = "config"


class RefusedError(TapError):
    """The API refuses one location or one endpoint (403, 404): others may work."""

    kind = "config"

    def __init__(
        self, message: str, *, whole_endpoint: bool = False, not_found: bool = False
    ) -> None:
        """Keep whether all locations are refused, and whether the API knows none."""
        super().__init__(message)
        self.whole_endpoint = whole_endpoint
        self.not_found = not_found


class UnavailableError(TapError):
    """The API did not give a usable answer, however often it was asked."""

    kind = "transient"

    def __init__(self, message: str, *, ends_run: bool) -> None:
        """Keep whether there was no answer at all, so that no other will come."""
        super().__init__(message)
        self.ends_run = ends_run


class LimitedError(TapError):
    """The API has kept the tap waiting for longer than `rate_limit_max_wait`."""

    ends_run = True
    kind = "transient"


class RejectedError(TapError):
    """The API rejects a request."""


class BadRequestError(RejectedError):
    """The API says that a request is wrong (400): another one may not be."""

    kind = "config"


class OutputError(TapError):
    """Standard output takes nothing more."""

    ends_run = True


class StorageError(TapError):
    """A file with what was read can't be written."""


class ValueUnreadableError(TapError):
    """A record holds a value that can't be read as what its field is."""

    kind = "config"


class MapError(TapError):
    """An expression of a stream map fails on a record."""

    kind = "config"


class UnexpectedAnswerError(TapError):
    """An answer contradicts the request or the answers before it."""


class InexactError(TapError):
    """The data moved while they were read, and it could not be mended."""

    kind = "transient"


class IncompleteRunError(TapError):
    """The run ended, but something was left out or is uncertain."""

    def __init__(self, message: str, kind: Kind = "transient") -> None:
        """Take over what mends it from what went wrong before."""
        super().__init__(message)
        self.kind = kind


def name_some(names: Sequence[str], most: int, separator: str = ", ") -> str:
    """List names, the first of them if there are many: `a, b, and 7 more`."""
    more = [f"and {len(names) - most} more"] if len(names) > most else []
    return separator.join([*names[:most], *more])


def no_answer(error: Exception, host: str) -> str:
    """Say why the HTTP library has no answer, in a clause; it is not redacted."""
    cause = _innermost(error)
    at = "the proxy" if isinstance(error, requests.exceptions.ProxyError) else host
    if isinstance(cause, NameResolutionError):
        return f"can't find {at}"
    if isinstance(cause, NewConnectionError):
        # Its own text is the repr of a connection.
        cause = cause.__cause__ or cause
    said = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    if isinstance(error, requests.exceptions.SSLError):
        return f"no secure connection to {at}: {said}"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"no answer in time: {at} takes no connection"
    if isinstance(error, requests.exceptions.Timeout):
        return f"no answer in time: {said}"
    return f"no connection to {at}, or it broke: {said}"


def mend(error: Exception) -> str:
    """Say what to do about an answer that did not come, or not as it should."""
    if isinstance(error, TooLargeError):
        return "Lower page_size, then run again: it goes on from the state"
    if isinstance(error, requests.exceptions.SSLError):
        return "Check api_url and this machine's certificates"
    if isinstance(error, requests.exceptions.ProxyError):
        return "Check the proxy's address (HTTPS_PROXY), then run again"
    if isinstance(error, requests.ConnectionError):
        return (
            "Check api_url and the network, then run again: it goes on from the state"
        )
    return "Run again later: it goes on from the state"


def _innermost(error: BaseException) -> BaseException:
    """Find what an error of the HTTP library is about: it wraps one in another."""
    within = (getattr(error, "reason", None), *reversed(error.args))
    inner = next((each for each in within if isinstance(each, BaseException)), None)
    return error if inner is None else _innermost(inner)


def advice(
    status: int, code: str | None, permission: str, *, has_locations: bool
) -> str:
    """Say what to do about an error answer, by its code or else its status."""
    known = code if code in _ADVICE else _CODE_BY_STATUS.get(status, "")
    texts = {**_ADVICE, **(_ADVICE_ON_LOCATIONS if has_locations else {})}
    return texts.get(known, _ADVICE["CONFLICT"]).format(permission=permission)


def describe_request(
    stream: str, partition: Mapping[str, object], page: int | None = None
) -> str:
    """Name what a message is about: `inventory_atp, location loc_001, page 3`."""
    words = [stream]
    if location := partition.get("locationId"):
        words.append(f"location {location}")
    if first := partition.get("fromDate"):
        words.append(f"{first} to {partition.get('toDate')}")
    if page is not None:
        words.append(f"page {page}")
    return ", ".join(words)
