/* ---
title: Segments over time
description: How many fans each segment holds day by day, who came and who left.
owner: team:data
parameters:
  from: date? | first day
  to: date? | last day
  segment: text? | only this segment
columns:
  day: date | Day | in UTC
  name: text | Segment
  size: count | Fans | fans in the segment at the end of the day
  entered: count | Came
  left: count | Left
chart:
  kind: line
  x: day
  y: size
  colour: name
  title: Fans by segment
--- */
select day, name, size, entered, "left"
from ref('metrics.segment_daily')
where ($from is null or day >= $from) and ($to is null or day <= $to)
    and ($segment is null or segment_id = $segment)
order by day desc, size desc, name
