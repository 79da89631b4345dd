"""What the limiter in PostgreSQL asks: how many calls count, who may go next, what has ended.

SQL only; the values that start with a colon are told by `books`.
"""

from sqlalchemy import text

from huntaze_pipeline.delivery.limiter import AGING_MS, SHARE, WEIGHTS

# How many calls of each account count now, and when its next call may start.
_ASKED = """
    asked as (
        select * from jsonb_to_recordset(cast(:limits as jsonb))
            as l(account text, count int, window_s float8, pool text)
    )
"""
_USED = """
    used as (
        select l.account, l.pool, l.count, u.ends, l.count - cardinality(u.ends) as free,
            greatest(r.until,
                u.ends[cardinality(u.ends) - l.count + 1] + make_interval(secs => l.window_s)
            ) as due
        from asked l
        left join rests r on r.account_id = l.account
        cross join lateral (
            select coalesce(array_agg(e.at order by e.at), '{}') as ends
            from (
                select case when result_at is not null and outcome <> 'unknown' then result_at
                    else intent_at + make_interval(secs => :lease) end as at
                from attempts
                where account_id = l.account and outcome is distinct from 'unused'
                    and intent_at > statement_timestamp()
                        - make_interval(secs => l.window_s + :lease + :margin)
                union all
                select until from permits where account_id = l.account
            ) e
            where e.at > statement_timestamp() - make_interval(secs => l.window_s)
        ) u
    )
"""
_SCORE = f"""
    extract(epoch from greatest(m.decided_at, m.not_before)) * 1000
        + case m.priority when 'high' then 0 when 'medium' then {AGING_MS} else 2 * {AGING_MS} end
"""
# The priority that a message ranks with by now: waiting makes up for a lower one.
_BAND = f"""
    greatest(0, least(2, ceil(
        (m.score - extract(epoch from statement_timestamp()) * 1000) / {AGING_MS})))::int
"""
# Bands share what is scarce by their weights: the n-th of a band stands here.
_STAND = f"(n - 0.5) / (array{list(WEIGHTS)})[band + 1]"
_QUEUED = """
    m.account_id = u.account and m.state = 'queued' and not exists (
        select from permits p where p.creator_id = m.creator_id and p.message_id = m.id
            and p.account_id = m.account_id and p.until > statement_timestamp())
"""
NAMES = text("""
    with recursive names(id) as (
        (select account_id from messages where state in ('decided', 'queued', 'claimed')
            order by account_id limit 1)
        union all
        select (select account_id from messages where state in ('decided', 'queued', 'claimed')
            and account_id > n.id order by account_id limit 1)
        from names n where n.id is not null
    )
    select id from names where id is not null
""")
DUE = text(f"""
    with {_ASKED}, {_USED}
    select u.account, greatest(0, extract(epoch from
        greatest(u.due, w.first) - statement_timestamp()))::float8 as wait_s
    from used u
    cross join lateral (
        select min(m.not_before) as first from messages m where {_QUEUED}
    ) w
    where w.first is not null
    order by wait_s
""")
URGENT = text(f"""
    with heads as (
        select u.account, m.score, {_BAND} as band
        from unnest(cast(:ids as text[])) as u(account)
        cross join lateral (
            select min({_SCORE}) as score from messages m
            where {_QUEUED} and m.not_before <= statement_timestamp()
        ) m
    ),
    ranked as (
        select *, row_number() over (partition by band order by score, account) as n from heads
    )
    select account from ranked order by {_STAND} limit :budget
""")
LOCK = text("""
    select id from accounts where id = any(:ids) order by id for no key update skip locked
""")
TAKE = text(f"""
    with {_ASKED}, {_USED},
    heads as (
        select u.account, u.pool, m.*, {_BAND} as band, (m.rank - 1) / {SHARE} as turn
        from used u
        cross join lateral (
            select m.creator_id, m.id, m.priority, {_SCORE} as score,
                row_number() over (order by {_SCORE}, m.id) as rank
            from messages m
            where {_QUEUED} and m.not_before <= statement_timestamp()
            order by rank limit greatest(0, least(u.free, :budget))
        ) m
        where u.due is null or u.due <= statement_timestamp()
    ),
    pooled as (
        select *, row_number() over (partition by pool, band order by turn, score, account, id) as n
        from heads
    ),
    dealt as (
        select *, row_number() over (partition by pool order by {_STAND}) as its from pooled
    ),
    allowed as (
        select d.*, row_number() over (partition by d.band order by turn, score, account, id) as n
        from (select account, pool, creator_id, id, priority, score, band, turn, its from dealt) d
        left join jsonb_to_recordset(cast(:rooms as jsonb)) as r(pool text, room int, spare int)
            on r.pool = d.pool
        where r.pool is null or d.its <= r.room - case when d.band > 0 then r.spare else 0 end
    ),
    placed as (
        select *, row_number() over (order by {_STAND}) as place from allowed
    ),
    chosen as (
        select * from placed
        where place <= :budget - case when band > 0 then :spare else 0 end
            and (band = 0 or not :urgent)
    ),
    written as (
        insert into permits (creator_id, handle, account_id, message_id, until)
        select creator_id, :token || place, account, id,
            statement_timestamp() + make_interval(secs => :lease)
        from chosen
        returning creator_id, handle, account_id, message_id
    )
    select w.*, c.priority, c.place from written w join chosen c on :token || c.place = w.handle
    order by c.place
""")
ROOMS = text("""
    select t.pool, greatest(0, t.count - count(e.at)) as room, t.count / 10 as spare
    from jsonb_to_recordset(cast(:totals as jsonb)) as t(pool text, count int, window_s float8)
    left join lateral (
        select case when c.result_at is not null and c.outcome <> 'unknown' then c.result_at
            else c.intent_at + make_interval(secs => :lease) end as at
        from attempts c join accounts a on a.id = c.account_id
        where t.pool in (a.platform, '*') and c.outcome is distinct from 'unused'
            and c.intent_at > statement_timestamp()
                - make_interval(secs => t.window_s + :lease + :margin)
        union all
        select p.until from permits p join accounts a on a.id = p.account_id
        where t.pool in (a.platform, '*')
    ) e on e.at > statement_timestamp() - make_interval(secs => t.window_s)
    group by t.pool, t.count
""")
FORGET = text("""
    with l as (
        select * from jsonb_to_recordset(cast(:limits as jsonb)) as l(account text, window_s float8)
    )
    delete from permits p using l where p.account_id = l.account
        and p.until < statement_timestamp() - make_interval(secs => l.window_s)
""")
_ENDED = """
    with r as (
        select * from jsonb_to_recordset(cast(:rows as jsonb)) as r(creator_id text, handle text,
            message_id text, account_id text, permit text, requeue float8, rest float8,
            ago float8)
    )
"""
UNUSED = text(f"""
    {_ENDED} delete from permits p using r
    where p.creator_id = r.creator_id and p.handle = r.handle and r.permit = 'unused'
""")
SPENT = text(f"""
    {_ENDED} update permits p set until = clock_timestamp() - make_interval(secs => r.ago)
    from r
    where p.creator_id = r.creator_id and p.handle = r.handle and r.permit = 'spent'
""")
LATER = text(f"""
    {_ENDED} update messages m set not_before = clock_timestamp() + make_interval(secs => r.requeue)
    from r
    where m.creator_id = r.creator_id and m.id = r.message_id and m.state = 'queued'
        and m.not_before < clock_timestamp() + make_interval(secs => r.requeue)
""")
BACK = text(f"""
    {_ENDED} update messages m set state = 'decided', queued_at = null from r
    where m.creator_id = r.creator_id and m.id = r.message_id and m.state = 'queued'
        and r.requeue is not null
""")
RESTS = text(f"""
    {_ENDED} insert into rests (creator_id, account_id, until)
    select creator_id, account_id, clock_timestamp() + make_interval(secs => max(rest))
    from r where rest is not null group by creator_id, account_id
    on conflict (creator_id, account_id)
        do update set until = greatest(rests.until, excluded.until)
""")
VIEW = text(f"""
    with {_ASKED}, {_USED}
    select (select count(*) from unnest(u.ends) e where e <= statement_timestamp()) as calls,
        (select count(*) from unnest(u.ends) e where e > statement_timestamp()) as flying,
        (select count(*) from messages m where {_QUEUED}) as waiting,
        (select greatest(0, extract(epoch from r.until - statement_timestamp()))::float8
            from rests r where r.account_id = u.account) as rest_s,
        greatest(0, extract(epoch from u.due - statement_timestamp()))::float8 as wait_s
    from used u
""")
