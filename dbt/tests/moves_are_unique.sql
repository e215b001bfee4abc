-- A step of a visit is there once.
select funnel, prospect_id, visit, step, count() as times
from {{ ref('moves') }}
group by funnel, prospect_id, visit, step
having times > 1
