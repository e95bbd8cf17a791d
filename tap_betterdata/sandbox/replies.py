"""What the sandbox sends back: replies, documented errors, JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus

import msgspec

JSON = "application/json"

_encoder = msgspec.json.Encoder(decimal_format="number")

# The error codes that the documentation names, and plausible ones for other statuses.
_CODES = {
    400: "VALIDATION_ERROR",
    401: "INVALID_API_KEY",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    408: "REQUEST_TIMEOUT",
    409: "CONFLICT",
    429: "RATE_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
}


def encode(payload: object) -> bytes:
    """Return JSON in which decimals keep their trailing zeros (`10.50`)."""
    return _encoder.encode(payload)


def phrase(status: int) -> str:
    """Return the reason phrase of a status, also of one nobody has registered."""
    return HTTPStatus(status).phrase if status in _STATUSES else "Unknown"


_STATUSES = {int(status) for status in HTTPStatus}


@dataclass
class Reply:
    """One HTTP response before it is sent."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = JSON


class ApiError(Exception):
    """Ends the work on a request with a documented error."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        **details: object,
    ) -> None:
        """Describe the error; the code follows from the status if not given."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = (
            code or _CODES.get(status) or phrase(status).upper().replace(" ", "_")
        )
        self.details = details

    def reply(self, shape: str) -> Reply:
        """Return the error body.

        `error` as a text beside `details` is documented; where the code stands is
        not. The shape `object` is that of another product of the vendor.
        """
        error: object = self.message
        body: dict[str, object] = {"error": error, "code": self.code}
        if shape == "object":
            body = {"error": {"code": self.code, "message": self.message}}
        return Reply(self.status, encode({**body, "details": self.details}))
