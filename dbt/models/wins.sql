-- One row a won visit. The row that wins it has its touches; what `repeat` rows brought is part of its value.
select
    funnel,
    prospect_id,
    visit,
    argMinIf(m.entered_at, step, kind != 'repeat') as won_at,
    dateDiff('second', any(visit_opened_at), won_at) as seconds_to_win,
    sum(length(touched_at)) as touches,
    argMinIf(m.account_id, step, kind != 'repeat') as account_id,
    argMinIf(m.currency, step, kind != 'repeat') as currency,
    sum(amount) as value
from {{ ref('moves') }} as m
where kind = 'repeat' or (notEmpty(touched_at) and kind not in ('lost', 'expired'))
group by funnel, prospect_id, visit
having countIf(kind != 'repeat') > 0
