"""What a caller can choose about the sandbox, and how the choices are read."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal
from urllib.parse import parse_qsl

import msgspec

from tap_betterdata.sandbox.history import FIRST_DAY, LAST_DAY

Count = Annotated[int, msgspec.Meta(ge=0)]
AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
Day = dt.date

#: The key the server accepts unless another one is chosen.
DEFAULT_KEY = "bdk_live_SANDBOX_0000"


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every option of the sandbox, with its default.

    A `None` means that the value follows from the others.
    """

    # The company.
    items: Count | None = None
    locations: AtLeastOne = 4
    products: AtLeastOne | None = None
    products_per_location: AtLeastOne | None = None
    seed: int = 1
    today: Day | None = None

    # How the documented gaps of the API are filled.
    # Several, of one company, with commas between them; each has a limit of its own.
    api_key: str = DEFAULT_KEY
    forbidden_locations: str = ""
    missing_permissions: str = ""
    atp_all_locations: bool = False
    over_max: Literal["clamp", "reject"] = "clamp"
    sort: Literal["honour", "down", "ignore", "reject"] = "honour"
    error_shape: Literal["string", "object"] = "string"

    # The rate limit; 0 is unlimited.
    per_minute: Count = 0
    per_hour: Count = 0
    window_s: Seconds = 60.0
    hour_s: Seconds = 3600.0
    window: Literal["fixed", "sliding"] = "fixed"
    count_refused: bool = False
    rate_headers: bool = True
    headers_describe: Literal["hour", "minute", "tightest"] = "hour"
    reset: Literal["epoch", "epoch_ms", "seconds", "iso", "http_date", "garbage"] = (
        "epoch"
    )
    retry_after: Literal["seconds", "fraction", "date", "none"] = "seconds"

    # Misbehaviour.
    latency_ms: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    error_rate: Share = 0.0
    fault: str = ""

    def __post_init__(self) -> None:
        """Refuse a company that cannot exist.

        Raises:
            ValueError: If the items cannot cover `products_per_location`, or today is
                beyond the clock.
        """
        if self.today and not FIRST_DAY <= self.today <= LAST_DAY:
            message = f"today is a day from {FIRST_DAY} to {LAST_DAY}"
            raise ValueError(message)
        wanted = self.locations * (self.products_per_location or 0)
        if self.items is not None and self.items < wanted:
            message = f"products_per_location needs items >= {wanted}"
            raise ValueError(message)

    @property
    def api_keys(self) -> list[str]:
        """The keys that are accepted."""
        return self.api_key.split(",")

    @property
    def item_count(self) -> int:
        """How many inventory items the company starts with."""
        if self.items is not None:
            return self.items
        return max(500, self.locations * (self.products_per_location or 0))

    @property
    def product_count(self) -> int:
        """How many products the company knows."""
        derived = self.products or max(1, self.item_count // 4)
        return max(derived, self.products_per_location or 1)


def read_options(choices: dict[str, object]) -> Options:
    """Turn loosely typed choices (`"20000"` or `20000`) into options.

    Raises:
        ValueError: If an option is unknown or its value does not fit.
    """
    known = ", ".join(Options.__struct_fields__)
    for name in choices:
        if name not in Options.__struct_fields__:
            message = f"unknown sandbox option {name!r}; known options: {known}"
            raise ValueError(message)
    try:
        return msgspec.convert(choices, Options, strict=False)
    except msgspec.ValidationError as error:
        message = f"malformed sandbox option: {error}; known options: {known}"
        raise ValueError(message) from None


def read_query(query: str) -> Options:
    """Read options from a query string such as `items=20000&locations=8`.

    `fault` may be repeated; any other option may not.

    Raises:
        ValueError: If the query is malformed or names an unknown option.
    """
    choices: dict[str, object] = {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        message = f"malformed sandbox query {query!r}: {error}"
        raise ValueError(message) from None
    for name, value in pairs:
        if name not in choices:
            choices[name] = value
        elif name == "fault":
            choices[name] = f"{choices[name]};{value}"
        else:
            message = f"sandbox option {name!r} is given twice"
            raise ValueError(message)
    return read_options(choices)
