"""The SDK's own tests, and what they don't test."""

from __future__ import annotations

import pytest
from singer_sdk.testing import SuiteConfig, get_tap_test_class

from tap_betterdata.sandbox import Sandbox
from tap_betterdata.streams.alerts import AlertsConfigStream
from tap_betterdata.tap import TapBetterData
from tests.e2e.truth import ALL_KEYS, keys_of
from tests.running import Runner, catalog_of, config_for

TestTapBetterData = get_tap_test_class(
    tap_class=TapBetterData,
    config={
        "api_url": "sandbox:?items=300&locations=2",
        "start_date": "2025-01-01",
        "end_date": "2025-02-15",
    },
    suite_config=SuiteConfig(max_records_limit=100),
    parse_env_config=False,
    catalog=catalog_of(*ALL_KEYS),
)


@pytest.mark.parametrize("stream", [name for name, keys in ALL_KEYS.items() if keys])
def test_primary_keys_are_unique_and_never_null(tap: Runner, stream: str) -> None:
    with Sandbox(items=300, locations=3) as sandbox:
        outcome = tap(config_for(sandbox), catalog=catalog_of(*ALL_KEYS)).check()
    (schema,) = outcome.of("SCHEMA", stream)
    assert tuple(schema["key_properties"]) == ALL_KEYS[stream]
    records = outcome.records(stream)
    keys = keys_of(stream, records)
    assert keys
    assert len(keys) == len(set(keys))
    assert all(row[name] is not None for row in records for name in ALL_KEYS[stream])


def test_the_connection_test_takes_streams_that_are_not_selected() -> None:
    with Sandbox(items=300, locations=2) as sandbox:
        assert TapBetterData(config=config_for(sandbox)).run_connection_test()
        asked = {request.path for request in sandbox.requests}
    # Left out unless it is selected: no catalog is given.
    assert AlertsConfigStream.path in asked
