select
    "locationId" as location_id,
    "granularity" as granularity,
    cast("periodFrom" as date) as period_from,
    cast("periodTo" as date) as period_to,
    "categoryId" as category_id,
    "categoryName" as category_name,
    cast("value" as decimal(18, 4)) as value,
    cast("units" as decimal(18, 4)) as units
from {{ source('betterdata', 'inventory_analytics_categories') }}
where "_sdc_deleted_at" is null
