"""Misbehaviour on demand: what goes wrong, and with which request."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from tap_betterdata.sandbox.catalogue import Record, draw
from tap_betterdata.sandbox.replies import JSON, ApiError, Reply, encode, phrase

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_betterdata.sandbox.app import Request

#: Once, or without end for a fault with `every` or `rate`.
Auto = Literal["auto"]

# The faults that `error_rate` draws from.
_RANDOM_KINDS = ("500", "502", "503", "reset", "cut")

# `500`, `500@3` (the third request), `reset@3x2` (twice), `503x*` (for ever).
_SPEC = re.compile(r"(?P<kind>\w+?)(@(?P<nth>[1-9]\d*))?(x(?P<times>[1-9]\d*|\*))?")

# Bodies that come with status 200.
_BODIES = {
    "html": b"<!doctype html><title>Sign in</title><h1>Sign in</h1>",
    "empty": b"",
    "null": b"null",
    "list": b"[]",
    "error200": encode({"error": "Something went wrong"}),
}


@dataclass
class Fault:
    """One kind of misbehaviour and the requests that meet it."""

    kind: str
    nth: int | None = None
    every: int | None = None
    times: int | None = 1
    path: str | None = None
    location: str | None = None
    rate: float | None = None
    details: Record = field(default_factory=dict)
    seed: int = 0
    seen: int = 0
    fired: int = 0

    def fires(self, request: Request) -> bool:
        """Count a request and say whether it meets this fault."""
        if self.path not in (None, request.path):
            return False
        if self.location not in (None, request.params.get("locationId")):
            return False
        self.seen += 1
        if self.times is not None and self.fired >= self.times:
            return False
        fires = self._is_due()
        self.fired += fires
        return fires

    def _is_due(self) -> bool:
        if self.rate is not None:
            drawn = draw(self.seed, "fault", self.kind, self.seen) % 2**32
            return drawn < self.rate * 2**32
        start = self.nth or self.every or 1
        return self.seen >= start and (self.seen - start) % (self.every or 1) == 0

    @property
    def delay(self) -> float:
        """How many seconds the server waits before it answers."""
        return float(self.details.get("seconds", 1.0)) if self.kind == "slow" else 0.0

    def change_params(self, params: dict[str, str], limit: int) -> dict[str, str]:
        """Return the query that is answered instead of the one that was asked."""
        if self.kind == "stale_page":
            page, offset = (params.get(name, "0") for name in ("page", "offset"))
            if page.isdecimal() and offset.isdecimal():
                earlier = {
                    "page": max(1, int(page) - 1),
                    "offset": max(0, int(offset) - limit),
                }
                return {**params, **{name: str(n) for name, n in earlier.items()}}
        if self.kind == "page_size":
            return {**params, "limit": str(max(1, limit // 2))}
        return params

    def instead(self, request: Request, shape: str) -> Reply | None:
        """Return the reply that stands in for the right one, if this fault has one."""
        reply = self._status_reply(request, shape) or self._body_reply()
        if reply and self.details.get("retry_after") is not None:
            reply.headers["Retry-After"] = str(self.details["retry_after"])
        return reply

    def change_payload(self, payload: Record, name: str) -> Record:
        """Give a payload this fault's flaw; the records in it stay as they are.

        Args:
            payload: The right answer.
            name: The key of its list, or of its one object.
        """
        if self.kind == "no_list":
            del payload[name]
        elif self.kind in _RECORD_CHANGES:
            payload[name] = _RECORD_CHANGES[self.kind](payload[name], self.details)
        elif self.kind == "no_pagination":
            for key in ("pagination", *_OFFSET_NUMBERS):
                payload.pop(key, None)
        elif self.kind in _NUMBER_CHANGES:
            numbers = payload.get("pagination", payload)
            _NUMBER_CHANGES[self.kind](numbers, self.details)
        return payload

    def _status_reply(self, request: Request, shape: str) -> Reply | None:
        if self.kind == "echo_auth":
            status = int(self.details.get("status", 400))
            sent = request.headers.get("Authorization", "")
            return ApiError(status, f"Cannot accept {sent!r}").reply(shape)
        if not self.kind.isdecimal():
            return None
        status = int(self.kind)
        code = self.details.get("code")
        message = self.details.get("message", phrase(status))
        reply = ApiError(status, message, code).reply(shape)
        if status == 429:  # noqa: PLR2004 - `Retry-After` with 429 is documented
            reply.headers["Retry-After"] = "1"
            if self.details.get("retry_after", 1) is None:
                del reply.headers["Retry-After"]
        return reply

    def _body_reply(self) -> Reply | None:
        if self.kind in _BODIES:
            kind = "text/html; charset=utf-8" if self.kind == "html" else None
            return Reply(200, _BODIES[self.kind], content_type=kind or JSON)
        if self.kind == "redirect":
            to = str(self.details.get("to", "/login"))
            return Reply(302, b"", {"Location": to})
        return self._raw_reply() if self.kind == "raw" else None

    def _raw_reply(self) -> Reply:
        body = self.details.get("body", b"")
        return Reply(
            int(self.details.get("status", 200)),
            body.encode() if isinstance(body, str) else body,
            dict(self.details.get("headers", {})),
            self.details.get("content_type", JSON),
        )


class Faults:
    """The faults that are waiting for their requests; safe for several threads."""

    def __init__(self, seed: int) -> None:
        """Start without any fault."""
        self._seed = seed
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(  # noqa: PLR0913 - each narrows down the requests in its own way
        self,
        kind: str | int,
        *,
        nth: int | None = None,
        every: int | None = None,
        times: int | Auto | None = "auto",
        path: str | None = None,
        location: str | None = None,
        rate: float | None = None,
        **details: object,
    ) -> Fault:
        """Let something go wrong.

        Only requests for `path` and `location` count, where these are given. A request
        meets at most one fault: the first that fires.

        Args:
            kind: A status, or a name out of `KINDS`.
            nth: The first request that meets it, counted from 1 (and from now).
            every: Then each so-many-th one only.
            times: How often it happens, None for ever. By default once, with `every`
                or `rate` for ever.
            path: Such as `/inventory`.
            location: The `locationId` of the request.
            rate: The share of requests that meet it, drawn by the seed.
            details: Depending on the kind: `seconds` (slow, drip), `status`
                (echo_auth, raw), `code`, `message`, `retry_after` (statuses), `to`
                (redirect), `delta` (total_pages), `value`, `field` (bad_number,
                extra_field), `body`, `headers`, `content_type` (raw).

        Raises:
            ValueError: If the kind is unknown.
        """
        kind = str(kind)
        if kind not in KINDS and not re.fullmatch("[2-5][0-9][0-9]", kind):
            known = ", ".join(sorted(KINDS))
            message = f"unknown fault {kind!r}; known: a status such as 500, {known}"
            raise ValueError(message)
        if times == "auto":
            times = 1 if every is None and rate is None else None
        fault = Fault(
            kind, nth, every, times, path, location, rate, details, seed=self._seed
        )
        with self._lock:
            self._faults.append(fault)
        return fault

    def add_specs(self, specs: str) -> None:
        """Add faults written as `500@3;reset@7x2;503x*`.

        Raises:
            ValueError: If one is malformed or its kind unknown.
        """
        for spec in filter(None, specs.split(";")):
            found = _SPEC.fullmatch(spec)
            if found is None:
                message = f"malformed fault {spec!r}; expected KIND[@NTH][xTIMES]"
                raise ValueError(message)
            nth, times = found["nth"], found["times"] or "1"
            self.add(
                found["kind"],
                nth=int(nth) if nth else None,
                times=None if times == "*" else int(times),
            )

    def add_random(self, rate: float) -> None:
        """Let this share of all requests fail in one of several ways."""
        # Of what the kinds before have left over, each takes its equal part.
        for place, kind in enumerate(_RANDOM_KINDS):
            share = rate / len(_RANDOM_KINDS)
            self.add(kind, rate=share / (1 - share * place))

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()

    def take(self, request: Request) -> Fault | None:
        """Return the fault that this request meets."""
        with self._lock:
            # All of them, as each counts the requests it has seen.
            firing = [fault for fault in self._faults if fault.fires(request)]
        return firing[0] if firing else None


def _no_total(numbers: Record, _details: Record) -> None:
    numbers.pop("total", None)


def _total_pages(numbers: Record, details: Record) -> None:
    """Promise more pages than there are, or fewer."""
    delta = details.get("delta", 1)
    if "totalPages" in numbers:
        numbers["totalPages"] += delta
    elif "total" in numbers:
        numbers["total"] += delta * numbers["limit"]


def _string_numbers(numbers: Record, _details: Record) -> None:
    numbers |= {key: str(n) for key, n in numbers.items() if isinstance(n, int)}


def _bad_number(records: Any, details: Record) -> Any:
    """Spoil a number of the first record, its first one unless told otherwise."""
    if isinstance(records, list):
        return [*(_bad_number(record, details) for record in records[:1]), *records[1:]]
    numbers = (key for key, n in records.items() if isinstance(n, int | Decimal))
    field = details.get("field") or next(numbers, "number")
    return {**records, field: details.get("value", "many")}


def _extra_field(records: Any, details: Record) -> Any:
    """Add a field to every record."""
    if isinstance(records, list):
        return [_extra_field(record, details) for record in records]
    return {
        **records,
        details.get("field", "shelfColour"): details.get("value", "blue"),
    }


# What describes a page beside the list, where there is no `pagination`.
_OFFSET_NUMBERS = ("total", "limit", "offset")

_NUMBER_CHANGES: dict[str, Callable[[Record, Record], None]] = {
    "no_total": _no_total,
    "total_pages": _total_pages,
    "string_numbers": _string_numbers,
}

_RECORD_CHANGES: dict[str, Callable[[Any, Record], Any]] = {
    "bad_number": _bad_number,
    "extra_field": _extra_field,
}

#: The kinds of faults besides the statuses.
KINDS = (
    frozenset(_NUMBER_CHANGES)
    | frozenset(_RECORD_CHANGES)
    | frozenset(_BODIES)
    | {
        "no_list",
        "no_pagination",
        "reset",
        "close",
        "cut",
        "cut_json",
        "slow",
        "drip",
        "echo_auth",
        "redirect",
        "stale_page",
        "page_size",
        "raw",
    }
)
