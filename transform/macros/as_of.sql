{# The day that everything is judged by: BETTERDATA_AS_OF, or today (UTC). #}
{% macro as_of() -%}
    {%- set day = env_var('BETTERDATA_AS_OF', '') or run_started_at.strftime('%Y-%m-%d') -%}
    {%- if not modules.re.fullmatch('\d{4}-\d\d-\d\d', day) -%}
        {{ exceptions.raise_compiler_error('BETTERDATA_AS_OF is no date such as 2026-06-30: ' ~ day) }}
    {%- endif -%}
    cast('{{ day }}' as date)
{%- endmacro %}
