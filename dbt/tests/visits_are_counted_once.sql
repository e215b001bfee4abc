-- Every visit that entered a stage is won, lost, expired or still waiting, and only one of these.
select *
from {{ source('journey', 'conversion_facts') }}
where entered != won + lost + expired + waiting
