-- The breaker of one platform. KEYS: state hash, buckets hash, workers zset, probes zset.
-- ARGV: operation, then its own. Clock: the server's.
--   admit worker wanted probe_ms              -> {how many may call, rest in ms}
--   report worker good bad bucket_ms buckets minimum share quorum probes open_ms most_ms
--                                             -> state
-- state: closed (absent) | open until | half (probes under way)
local state, buckets, workers, probes = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local phase = redis.call('HGET', state, 'phase') or 'closed'

if ARGV[1] == 'admit' then
  local worker, wanted, lasts = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
  redis.call('ZADD', workers, now, worker)
  redis.call('PEXPIRE', workers, 120000)
  if phase == 'closed' then return { wanted, 0 } end
  local reopen = tonumber(redis.call('HGET', state, 'until'))
  if now < reopen then return { 0, reopen - now } end
  redis.call('HSET', state, 'phase', 'half')
  -- A probe whose worker died makes room for another one when its time is up.
  redis.call('ZREMRANGEBYSCORE', probes, '-inf', now)
  local most = tonumber(redis.call('HGET', state, 'probes') or '3')
  local room = math.min(wanted, most - redis.call('ZCARD', probes))
  for i = 1, math.max(0, room) do
    local serial = redis.call('HINCRBY', state, 'serial', 1)
    redis.call('ZADD', probes, now + lasts, serial)
  end
  return { math.max(0, room), 1000 }
end

local worker, good, bad = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local width, count, minimum = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local share, quorum, most = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local open_ms, most_ms = tonumber(ARGV[11]), tonumber(ARGV[12])

local function open(lasts)
  redis.call('HSET', state, 'phase', 'open', 'until', string.format('%.0f', now + lasts),
    'lasts', string.format('%.0f', lasts), 'probes', most, 'proved', 0)
  redis.call('DEL', buckets, probes)
  return 'open'
end

if phase == 'open' then return 'open' end
if phase == 'half' then
  if bad > 0 then
    return open(math.min(most_ms, 2 * tonumber(redis.call('HGET', state, 'lasts'))))
  end
  if redis.call('HINCRBY', state, 'proved', good) >= most then
    redis.call('DEL', state, buckets, probes)
    return 'closed'
  end
  for i = 1, good do redis.call('ZPOPMIN', probes) end
  return 'half'
end

local bucket = math.floor(now / width)
if good > 0 then redis.call('HINCRBY', buckets, bucket .. ':good', good) end
if bad > 0 then
  redis.call('HINCRBY', buckets, bucket .. ':bad', bad)
  redis.call('HSET', buckets, bucket .. ':by:' .. worker, 1)
end
redis.call('PEXPIRE', buckets, width * (count + 1))
if bad == 0 then return 'closed' end

local total, failed, seen, witnesses = 0, 0, {}, 0
local all = redis.call('HGETALL', buckets)
for i = 1, #all, 2 do
  local at, kind, who = string.match(all[i], '^(%d+):(%a+):?(.*)$')
  if tonumber(at) <= bucket - count then
    redis.call('HDEL', buckets, all[i])
  elseif kind == 'by' then
    if not seen[who] then seen[who] = true; witnesses = witnesses + 1 end
  else
    total = total + tonumber(all[i + 1])
    if kind == 'bad' then failed = failed + tonumber(all[i + 1]) end
  end
end
redis.call('ZREMRANGEBYSCORE', workers, '-inf', now - 60000)
local needed = math.max(1, math.min(quorum, redis.call('ZCARD', workers)))
if total >= minimum and failed / total >= share and witnesses >= needed then
  return open(open_ms)
end
return 'closed'
