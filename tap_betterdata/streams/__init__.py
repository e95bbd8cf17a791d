"""The tap's streams, one module for each endpoint."""

from tap_betterdata.streams.alerts import AlertsConfigStream
from tap_betterdata.streams.analytics import (
    InventoryAnalyticsCategoriesStream,
    InventoryAnalyticsStream,
)
from tap_betterdata.streams.atp import InventoryAtpChannelsStream, InventoryAtpStream
from tap_betterdata.streams.base import BetterDataStream
from tap_betterdata.streams.inventory import InventoryStream
from tap_betterdata.streams.transfers import TransferRecommendationsStream

STREAMS: tuple[type[BetterDataStream], ...] = (
    AlertsConfigStream,
    InventoryAnalyticsCategoriesStream,
    InventoryAnalyticsStream,
    InventoryAtpChannelsStream,
    InventoryAtpStream,
    InventoryStream,
    TransferRecommendationsStream,
)
