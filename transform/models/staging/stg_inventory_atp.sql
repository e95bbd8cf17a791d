select
    "locationId" as location_id,
    "locationName" as location_name,
    "productMasterId" as product_id,
    "productName" as product_name,
    "globalSku" as sku,
    cast("totalOnHand" as decimal(18, 4)) as on_hand,
    cast("totalReserved" as decimal(18, 4)) as reserved,
    cast("minAtp" as decimal(18, 4)) as min_atp,
    cast("maxAtp" as decimal(18, 4)) as max_atp,
    "hasCritical" as has_critical,
    cast("_sdc_extracted_at" as timestamp) as loaded_at
from {{ source('betterdata', 'inventory_atp') }}
where "_sdc_deleted_at" is null
