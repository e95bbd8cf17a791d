{{ config(severity='warn') }}
select max(changed_at) as changed_at
from {{ ref('stock') }}
having max(changed_at) is null or cast(max(changed_at) as date) < {{ as_of() }} - 7
