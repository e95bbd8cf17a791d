-- ATP is read whole by each run; inventory gets no rows when nothing changed.
select max(loaded_at) as loaded_at
from {{ ref('stg_inventory_atp') }}
having max(loaded_at) is null or cast(max(loaded_at) as date) < {{ as_of() }} - 1
