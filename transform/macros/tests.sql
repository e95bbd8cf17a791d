{# Rows of one key, and keys with a part that is missing. #}
{% test key(model, columns) %}
select {{ columns | join(', ') }}, count(*) as found
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{%- for column in columns %} or {{ column }} is null{% endfor %}
{% endtest %}

{# Rows whose parent is not there. #}
{% test belongs_to(model, parent, columns) %}
select child.*
from {{ model }} as child
left join {{ parent }} as parent
    on {% for column in columns -%}
        child.{{ column }} = parent.{{ column }}{{ ' and ' if not loop.last }}
    {%- endfor %}
where parent.{{ columns[0] }} is null
{% endtest %}

{% test not_negative(model, column_name) %}
select * from {{ model }} where {{ column_name }} < 0
{% endtest %}
