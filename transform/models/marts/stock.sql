select
    location_id,
    max(location_name) as location_name,
    product_id,
    max(product_name) as product_name,
    max(sku) as sku,
    count(*) as items,
    coalesce(sum(on_hand), 0) as on_hand,
    coalesce(sum(reserved), 0) as reserved,
    coalesce(sum(available), 0) as available,
    coalesce(sum(value), 0) as value,
    coalesce(sum(case when value is null then on_hand end), 0) as units_without_value,
    max(updated_at) as changed_at
from {{ ref('stg_inventory') }}
group by location_id, product_id
