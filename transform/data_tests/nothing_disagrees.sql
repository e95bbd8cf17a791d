select * from {{ ref('disagreements') }}
