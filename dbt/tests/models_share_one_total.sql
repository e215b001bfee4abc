-- Each model of attribution credits all that was won, and no more.
select funnel, day, currency, max(total) as most, min(total) as least
from
(
    select funnel, model, day, currency, toFloat64(sum(value)) as total
    from {{ source('journey', 'attribution_facts') }}
    group by funnel, model, day, currency
)
group by funnel, day, currency
having most - least > 0.000001 * greatest(1, abs(most)) or count() != 7
