select
    "id" as item_id,
    "productMasterId" as product_id,
    "productName" as product_name,
    "globalSku" as sku,
    "locationId" as location_id,
    "locationName" as location_name,
    cast("quantityOnHand" as decimal(18, 4)) as on_hand,
    cast("quantityReserved" as decimal(18, 4)) as reserved,
    cast("quantityAvailable" as decimal(18, 4)) as available,
    "lotId" as lot_id,
    "lotNumber" as lot_number,
    cast("expiryDate" as date) as expiry_date,
    "binId" as bin_id,
    "binName" as bin_name,
    cast("unitCost" as decimal(18, 4)) as unit_cost,
    cast("totalValue" as decimal(18, 4)) as value,
    cast("lastCountedAt" as timestamp) as last_counted_at,
    cast("updatedAt" as timestamp) as updated_at
from {{ source('betterdata', 'inventory') }}
where "_sdc_deleted_at" is null
