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

from tap_betterdata.api.errors import ValueUnreadableError
from tap_betterdata.output.rows import Row, RowReader

if TYPE_CHECKING:
    from collections.abc import Callable

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
).to_dict()
LOGGER = logging.getLogger("records")


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
    }
    assert conformer()(row) == row
    nothing = dict.fromkeys(row) | {"id": "1"}
    assert conformer()(nothing) == nothing
    assert conformer()({"id": "1"}) == {"id": "1"}


def test_an_unknown_field_is_left_out_with_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    conform = conformer()
    for number in range(3):
        row = {"id": str(number), "shelf": "x", "channels": [{"shelf": 1}, {"atp": 1}]}
        assert conform(row) == {"id": str(number), "channels": [{}, {"atp": 1}]}
        assert "shelf" in row, "the row that came in is not to be changed"
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 2
    assert all(warning.startswith("stock: ") for warning in warnings)
    assert re.search(r"[ :]shelf\b", warnings[0])
    assert re.search(r"\bchannels\.shelf\b", warnings[1])


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "id": st.sampled_from(["1", 2]),
                "shelf": st.none(),
                "name": st.sampled_from([None, "x", 7]),
                "quantity": st.sampled_from([None, 1, "1", "1.0", Decimal("1.00")]),
                "day": st.sampled_from([None, "2024-12-31", "20241231", "soon", 5]),
                "at": st.sampled_from([None, "2024-12-31T00:00:00Z", "soon"]),
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


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_decimal_survives_as_number_and_as_string(number: Decimal) -> None:
    assert read("quantity", number).as_tuple() == number.as_tuple()
    assert read("quantity", str(number)).as_tuple() == number.as_tuple()


@pytest.mark.parametrize(
    "text", ["12", "-0", "+3", " 10.50 ", ".5", "5.", "1e3", "1E-7", "9" * 40]
)
def test_a_quantity_as_text_is_read_exactly(text: str) -> None:
    value = read("quantity", text)
    assert Decimal(value).as_tuple() == Decimal(text.strip()).as_tuple()


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


@pytest.mark.parametrize("row", [{}, {"id": None}, {"name": "x"}])
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
        ("20241231", "2024-12-31"),
        ("2024-12-31T00:00:00Z", "2024-12-31"),
        ("2024-12-31T23:30:00.000+02:00", "2024-12-31"),
        ("2024-12-31 10:00:00", "2024-12-31"),
    ],
)
def test_a_day_may_be_written_as_a_point_in_time(text: str, day: str) -> None:
    assert read("day", text) == day


@pytest.mark.parametrize(
    "text", ["2024-03-15T00:00:00Z", "2024-03-15T01:02:03.004+05:30", "2024-03-15"]
)
def test_a_point_in_time_is_passed_on_as_written(text: str) -> None:
    assert read("at", text) == text


@pytest.mark.parametrize("name", ["day", "at"])
@pytest.mark.parametrize(
    "text", ["", "soon", "2024-02-30", "0000-00-00", 5, "31/12/24"]
)
def test_what_is_no_date_becomes_null_with_one_warning(
    name: str, text: object, caplog: pytest.LogCaptureFixture
) -> None:
    conform = conformer()
    for number in range(3):
        row = {"id": str(number), name: text}
        assert conform(row) == {"id": str(number), name: None}
    (warning,) = (record.getMessage() for record in caplog.records)
    assert f"field {name} " in warning
    assert repr(str(text)) in warning
