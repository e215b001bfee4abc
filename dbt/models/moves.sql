select * except (revision, is_deleted)
from {{ source('journey', 'stage_transitions') }} final
