select
    "locationId" as location_id,
    "granularity" as granularity,
    cast("periodFrom" as date) as period_from,
    cast("periodTo" as date) as period_to,
    cast("totalValue" as decimal(18, 4)) as value,
    cast("totalUnits" as decimal(18, 4)) as units,
    cast("turnoverRate" as decimal(18, 4)) as turnover_rate,
    cast("averageDaysOnHand" as decimal(18, 4)) as average_days_on_hand,
    cast("slowMovingItems" as decimal(18, 4)) as slow_moving_items,
    cast("expiringItems" as decimal(18, 4)) as expiring_items
from {{ source('betterdata', 'inventory_analytics') }}
where "_sdc_deleted_at" is null
