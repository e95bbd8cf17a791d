"""Records as their schema declares them: known fields, readable values."""

from __future__ import annotations

import logging
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from singer_sdk import typing as th

from tap_betterdata.api.decoding import MAX_DIGITS, decode
from tap_betterdata.api.errors import ValueUnreadableError
from tap_betterdata.output.rows import RowReader
from tap_betterdata.state.stamps import read_stamp

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from tap_betterdata.api.answers import Row

SCHEMA = th.PropertiesList(
    th.Property("id", th.StringType, required=True),
    th.Property("name", th.StringType),
    th.Property("quantity", th.NumberType),
    th.Property("critical", th.BooleanType),
    th.Property("day", th.DateType),
    th.Property("at", th.DateTimeType),
    th.Property(
        "channels",
        th.ArrayType(
            th.ObjectType(
                th.Property("channelId", th.StringType),
                th.Property("atp", th.NumberType),
            )
        ),
    ),
    th.Property("more", th.CustomType({"type": ["object", "null"]})),
).to_dict()
LOGGER = logging.getLogger("records")
STAMP = "2024-12-31T00:00:00"
TIME = r"[0-2]\d:[0-5]\d"
RFC_3339 = re.compile(
    rf"\d{{4}}-[01]\d-[0-3]\dT{TIME}:[0-5]\d(\.\d+)?(Z|[+-]{TIME})", re.ASCII
)
ALMOST = re.compile(
    r"(20\d\d|0001|9999)-[01]\d-[0-3]\d[Tt _]2[0-4]:[0-6]\d:[0-6]\d"
    r"([.,]\d{0,9})?(Z|z|[+-][0-2]\d:?[0-6]\d)?",
    re.ASCII,
)


def conformer() -> Callable[[Row], Row]:
    """A reader of single rows, which come out alike whatever stands beside them."""
    conform = RowReader("stock", SCHEMA, ["id"], LOGGER)

    def read_row(row: Row) -> Row:
        (record,) = conform([row])
        assert conform([row, {"id": "other", "name": None}, row])[::2] == [record] * 2
        return record

    return read_row


def read(name: str, value: object) -> Any:
    return conformer()({"id": "1", name: value})[name]


def test_what_fits_stays_as_it_is() -> None:
    row = {
        "id": "1",
        "name": "a\ud800",
        "quantity": Decimal("10.50"),
        "critical": False,
        "day": "2024-12-31",
        "at": "2024-03-15T00:00:00Z",
        "channels": [{"channelId": "DTC", "atp": 2**70}],
        "more": {"colour": ["blue", None]},
    }
    assert conformer()(row) == row
    nothing = dict.fromkeys(row) | {"id": "1"}
    assert conformer()(nothing) == nothing
    assert conformer()({"id": "1"}) == {"id": "1"}


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_an_unknown_field_is_left_out_with_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    conform = conformer()
    for number in range(3):
        row = {"id": str(number), "shelf": "x", "channels": [{"shelf": 1}, {"atp": 1}]}
        assert conform(row) == {"id": str(number), "channels": [{}, {"atp": 1}]}
        assert "shelf" in row, "the row that came in is not to be changed"
    (warning,) = warnings_of(caplog)
    assert warning.startswith("stock: ")
    assert warning.endswith("does not know: shelf, channels.shelf. They are left out.")


def test_fields_that_come_later_are_named_too(caplog: pytest.LogCaptureFixture) -> None:
    conform = conformer()
    for name in ("shelf", "shelf", "rack"):
        conform({"id": "1", name: 1})
    assert [re.findall(r"know: (.*)\. They", text) for text in warnings_of(caplog)] == [
        ["shelf"],
        ["rack"],
    ]


@pytest.mark.parametrize("each", [True, False])
def test_of_many_unknown_fields_the_first_are_named(
    caplog: pytest.LogCaptureFixture, *, each: bool
) -> None:
    conform = RowReader("stock", SCHEMA, ["id"], LOGGER)
    names = [f"field_{number}" for number in range(2000)]
    for page in range(5):
        rows = [dict.fromkeys([*names, f"page_{page}"], 1) | {"id": "1"}] * 100
        for part in ([row] for row in rows[:3]) if each else [rows]:
            assert conform(part) == [{"id": "1"}] * len(part)
    (warning,) = warnings_of(caplog)
    assert re.findall(r"field_\d+", warning) == names[:20]
    assert ", and 1981 more. They are left out, and no others are named." in warning


def test_long_and_secret_names_are_cut(caplog: pytest.LogCaptureFixture) -> None:
    names = ["n" * 10_000_000, "a\nb", "bdk_live_secret"]
    assert conformer()(dict.fromkeys(names) | {"id": "1"}) == {"id": "1"}
    (warning,) = warnings_of(caplog)
    assert f": {'n' * 59}…, a b, ***. They are left out." in warning


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "id": st.sampled_from(["1", 2]),
                "shelf": st.none(),
                "name": st.sampled_from([None, "x", 7]),
                "quantity": st.sampled_from([None, 1, "1", "1.0", Decimal("1.00")]),
                "day": st.sampled_from(
                    [None, "2024-12-31", "20241231", "", "soon", 5, f"{STAMP}Z"]
                ),
                "at": st.sampled_from(
                    [None, f"{STAMP}Z", f"{STAMP}+0530", STAMP, "", "soon"]
                ),
                "channels": st.sampled_from([None, [], [{"atp": "1.0"}]]),
            }
        )
    )
)
def test_a_page_of_rows_is_read_as_each_of_them(rows: list[Row]) -> None:
    conform = RowReader("stock", SCHEMA, ["id"], LOGGER)
    before = repr(rows)
    # Beside a row with other fields, they are read one by one.
    *singly, _ = conform([*rows, {"id": "other"}])
    together = conform(rows)
    assert together == singly
    # Numbers that are equal may still be written differently.
    assert [repr(row.get("quantity")) for row in together] == [
        repr(row.get("quantity")) for row in singly
    ]
    assert repr(rows) == before


def test_a_page_with_one_value_that_cannot_be_read_names_its_record() -> None:
    rows: list[Row] = [{"id": str(n), "quantity": str(n)} for n in range(9)]
    rows[7]["quantity"] = "many"
    with pytest.raises(ValueUnreadableError, match="record with id '7' holds 'many'"):
        RowReader("stock", SCHEMA, ["id"], LOGGER)(rows)


def test_no_rows_are_no_records() -> None:
    assert RowReader("stock", SCHEMA, ["id"], LOGGER)([]) == []


decimals = st.decimals(allow_nan=False, allow_infinity=False).filter(
    lambda number: abs(number.adjusted()) < MAX_DIGITS / 2
)


@given(decimals)
def test_a_decimal_survives_as_number_and_as_string(number: Decimal) -> None:
    assert read("quantity", number).as_tuple() == number.as_tuple()
    assert read("quantity", str(number)).as_tuple() == number.as_tuple()


@pytest.mark.parametrize(
    "text", ["12", "-0", "+3", " 10.50 ", ".5", "5.", "1e3", "1E-7", "9" * 40]
)
def test_a_quantity_as_text_is_read_exactly(text: str) -> None:
    value = read("quantity", text)
    assert Decimal(value).as_tuple() == Decimal(text.strip()).as_tuple()


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize(
    "text",
    [
        "1e99999999999999999999",
        "-1e-99999999999999999999",
        "9" * 5000,
        f"0.{'1' * 5000}",
        "0e99999",
    ],
)
def test_a_number_out_of_bounds_names_its_record(text: str, quote: str) -> None:
    rows = decode(f'[{{"id": "7", "quantity": {quote}{text}{quote}}}]'.encode())
    with pytest.raises(ValueUnreadableError) as caught:
        conformer()(*rows)
    message = str(caught.value)
    assert message.startswith(f"stock: the record with id '7' holds '{text[:50]}")
    assert "the field quantity, which is not a number" in message
    assert len(message) < 400
    # Where text is wanted, or nothing, it does no harm.
    (row,) = rows
    row["shelf"] = row["name"] = row.pop("quantity")
    assert conformer()(row) == {"id": "7", "name": text}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("quantity", "many"),
        ("quantity", ""),
        ("quantity", "1,000"),
        ("quantity", "1_000"),
        ("quantity", "٣"),
        ("quantity", "NaN"),
        ("quantity", "Infinity"),
        ("quantity", "0x10"),
        ("quantity", True),
        ("quantity", []),
        ("quantity", {}),
        ("critical", "false"),
        ("critical", 0),
        ("name", True),
        ("name", {}),
        ("name", ["x"]),
        ("day", {}),
        ("day", False),
        ("at", []),
        ("channels", {}),
        ("channels", "none"),
        ("channels", [1]),
        ("channels", [None]),
        ("more", "none"),
        ("more", []),
    ],
)
def test_what_cannot_be_read_names_record_and_field(name: str, value: object) -> None:
    with pytest.raises(ValueUnreadableError) as caught:
        conformer()({"id": "item_7", name: value})
    text = str(caught.value)
    assert text.startswith("stock: ")
    assert "id 'item_7'" in text
    assert f"the field {name}," in text
    assert repr(value)[:60] in text
    assert "\n" not in text


def test_what_cannot_be_read_in_an_array_names_its_path() -> None:
    with pytest.raises(ValueUnreadableError, match=r"field channels\.atp,.*a number"):
        read("channels", [{"atp": "1"}, {"atp": "many"}])


def test_long_values_are_cut() -> None:
    with pytest.raises(ValueUnreadableError) as caught:
        conformer()({"id": "9" * 1000, "quantity": "x" * 1000})
    text = str(caught.value)
    assert "the field quantity" in text
    assert len(text) < 400


@pytest.mark.parametrize(
    "row", [{}, {"id": None}, {"name": "x"}, {"id": None, "name": "x"}]
)
def test_a_missing_key_is_no_record(row: dict[str, Any]) -> None:
    with pytest.raises(ValueUnreadableError, match=r"the field id.*key"):
        conformer()(row)


@pytest.mark.parametrize(
    ("value", "text"), [(7, "7"), (2**70, str(2**70)), (Decimal("1.50"), "1.50")]
)
def test_numbers_are_read_as_text_where_it_is_declared(
    value: object, text: str
) -> None:
    assert conformer()({"id": value, "name": value}) == {"id": text, "name": text}


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2024-12-31", "2024-12-31"),
        ("2024-12-31T00:00:00Z", "2024-12-31"),
        ("2024-12-31T23:30:00.000+02:00", "2024-12-31"),
        ("2024-12-31T23:30:00-11:00", "2024-12-31"),
        ("2024-12-31 10:00:00", "2024-12-31"),
    ],
)
def test_a_day_may_be_written_as_a_point_in_time(text: str, day: str) -> None:
    assert read("day", text) == day


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-15T00:00:00Z",
        "2024-03-15T01:02:03.004+05:30",
        "2024-03-15T01:02:03.123456789-00:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59-00:00",
    ],
)
def test_a_point_in_time_is_passed_on_as_written(text: str) -> None:
    assert read("at", text) == text


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("2024-03-15T00:00:00", "2024-03-15T00:00:00Z"),
        ("2024-03-15T00:00:00.5", "2024-03-15T00:00:00.5Z"),
        ("2024-03-15 00:00:00", "2024-03-15T00:00:00Z"),
        ("2024-03-15 00:00:00Z", "2024-03-15T00:00:00Z"),
        ("2024-03-15 00:00:00-05:30", "2024-03-15T00:00:00-05:30"),
        ("2024-03-15t00:00:00z", "2024-03-15T00:00:00Z"),
    ],
)
def test_a_point_in_time_gets_its_offset_and_letters(
    text: str, sent: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert read("at", text) == sent
    assert not caplog.records


NO_DAYS = [
    "",
    "soon",
    "2024-02-30",
    "0000-00-00",
    5,
    "31/12/24",
    "2024-1-5",
    " 2024-12-31",
    "2024-12-31Z",
    "\uff12\uff10\uff12\uff14-12-31",
    # Python's own parser takes these.
    "20241231",
    "2025-W11-5",
    "2025W115",
    "2025-W11",
    "20241231T000000Z",
    "2024-12-31T00:00Z",
    "2024-12-31T00Z",
    "2024-12-31T00:00:00,5Z",
    "2024-12-31T00:00:00+05",
    "2024-12-31T00:00:00+05:30:15",
    "2024-12-31_00:00:00Z",
    # msgspec takes these.
    "2024-12-31T00:00:00+0530",
    "2024-12-31T00:00:00-0530",
    # An ordinal date, a leap second, the end of a day, an impossible offset.
    "2024-366",
    "2024-12-31T23:59:60Z",
    "2024-12-31T24:00:00Z",
    "2024-12-31T00:00:00+24:00",
    "2024-12-31T00:00:00ZZ",
    # Before what is taken for the beginning of time.
    "0001-01-01T00:00:00+05:00",
    "\ud800",
]


@pytest.mark.parametrize(
    ("name", "text"),
    [(name, text) for name in ("day", "at") for text in NO_DAYS]
    + [("at", "2024-12-31")],
)
def test_what_is_no_date_becomes_null_with_one_warning(
    name: str, text: object, caplog: pytest.LogCaptureFixture
) -> None:
    conform = conformer()
    for number in range(3):
        row = {"id": str(number), name: text}
        assert conform(row) == {"id": str(number), name: None}
    (warning,) = warnings_of(caplog)
    assert warning.startswith(f"stock: the field {name} holds ")
    assert repr(str(text)) in warning
    # Nor does it move a bookmark.
    assert read_stamp(text) is None


@given(st.text("0123456789-:.TZtzW+ ", max_size=30) | st.from_regex(ALMOST))
def test_what_is_sent_as_a_point_in_time_is_what_moves_bookmarks(text: str) -> None:
    sent = read("at", text)
    assert read_stamp(sent) == read_stamp(text)
    assert (sent is None) == (read_stamp(text) is None)
    assert sent is None or RFC_3339.fullmatch(sent)


def test_what_is_no_date_is_cut_and_blanked(caplog: pytest.LogCaptureFixture) -> None:
    assert read("at", "bdk_live_secret\n" + "x" * 10_000) is None
    (warning,) = warnings_of(caplog)
    assert " holds '*** xxx" in warning.replace("\\n", " ")
    assert "secret" not in warning
    assert len(warning) < 200


@given(
    st.datetimes().filter(lambda moment: 1 < moment.year < 9999),
    st.sampled_from(["Z", "+05:30", "-11:59", ""]),
)
def test_every_point_in_time_is_one(moment: datetime, offset: str) -> None:
    text = moment.isoformat() + offset
    assert read("at", text) == (text if offset else f"{text}Z")
    assert read("day", text) == read("day", text[:10]) == text[:10]
