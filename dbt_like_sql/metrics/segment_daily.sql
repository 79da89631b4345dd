/* ---
description: >
  Each segment's size at the end of each UTC day from its first entry to the day of the newest change
  of any segment, with the fans who came and left that day.
grain: [creator_id, segment_id, day]
owner: team:data
materialization: table
columns:
  creator_id: VARCHAR | the tenant
  segment_id: VARCHAR | the segment
  day: DATE | in UTC
  name: VARCHAR | its name
  size: BIGINT | fans in it at the end of the day
  entered: BIGINT | stays that began
  left: BIGINT | stays that ended
audits:
  never_negative: select * from this where size < 0
--- */
with moves as (
    select
        creator_id, segment_id, entered_at::date as day, entered_at as came_at,
        null::timestamptz as gone_at
    from source('raw.members')
    union all
    select creator_id, segment_id, left_at::date, null, left_at
    from source('raw.members')
    where left_at is not null
),
changes as (
    select creator_id, segment_id, day, count(came_at) as entered, count(gone_at) as "left"
    from moves
    group by all
),
edges as (
    select creator_id, segment_id, min(day) as first, max(max(day)) over (partition by creator_id) as last
    from changes
    group by creator_id, segment_id
),
days as (
    select creator_id, segment_id, unnest(generate_series(first, last, interval 1 day))::date as day
    from edges
)
select
    d.creator_id, d.segment_id, d.day, coalesce(s.name, d.segment_id) as name,
    (sum(coalesce(c.entered, 0) - coalesce(c."left", 0))
        over (partition by d.creator_id, d.segment_id order by d.day))::bigint as size,
    coalesce(c.entered, 0) as entered, coalesce(c."left", 0) as "left"
from days d
left join changes c using (creator_id, segment_id, day)
left join source('raw.segments') s on s.creator_id = d.creator_id and s.id = d.segment_id
