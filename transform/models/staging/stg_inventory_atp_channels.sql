select
    "locationId" as location_id,
    "locationName" as location_name,
    "productMasterId" as product_id,
    "productName" as product_name,
    "globalSku" as sku,
    "channelId" as channel_id,
    "channelName" as channel_name,
    "channelType" as channel_type,
    cast("atp" as decimal(18, 4)) as atp,
    cast("onHand" as decimal(18, 4)) as on_hand,
    cast("reserved" as decimal(18, 4)) as reserved,
    cast("available" as decimal(18, 4)) as available,
    "severity" as severity,
    cast("threshold" as decimal(18, 4)) as threshold,
    "policyId" as policy_id,
    cast("lowAtpThreshold" as decimal(18, 4)) as low_atp_threshold
from {{ source('betterdata', 'inventory_atp_channels') }}
where "_sdc_deleted_at" is null
