-- One shard: the names of its tables, and its clock. Begins every script of the limiter.
-- KEYS: how those names begin; they carry the shard's hash tag.
--
--   meta     hash  epoch, clock (last instant seen), hold (no permits before), rests (some account
--                  rests until), serial (of the last permit), furthest (the last end of a lease),
--                  served (permits given, by 21: whose turn it is)
--   calls    hash  account -> its calls that count, packed (calls.lua)
--   blocked  hash  account -> no calls before this instant
local base = KEYS[1]
local meta, log, blocked = base .. 'meta', base .. 'calls', base .. 'blocked'
local MOST = 3500  -- values that Lua passes on at once, with room for twice as many

local function whole(number) return string.format('%.0f', number) end

-- The server's clock in milliseconds; `now` is never earlier than any instant acted on before.
local time = redis.call('TIME')
local raw = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local told = redis.call('HMGET', meta, 'epoch', 'clock', 'hold', 'rests', 'serial', 'furthest')
local epoch, now = told[1], math.max(raw, tonumber(told[2] or '0'))
local hold, rests = tonumber(told[3] or '0'), tonumber(told[4] or '0')
local serial, furthest = tonumber(told[5] or '0'), tonumber(told[6] or '0')

-- Remember the instant, and what else has changed.
local function tick(...)
  redis.call('HSET', meta, 'clock', whole(now), 'serial', serial, 'furthest', whole(furthest), ...)
end

local function rest_of(account) return tonumber(redis.call('HGET', blocked, account) or '0') end

-- No calls of an account for so long; returns until when.
local function rest(account, lasts)
  local ends = now + lasts
  if ends <= rest_of(account) then return rest_of(account) end
  redis.call('HSET', blocked, account, whole(ends))
  if ends > rests then
    rests = ends
    redis.call('HSET', meta, 'rests', whole(rests))
    redis.call('PEXPIREAT', blocked, whole(rests + 1000))
  end
  return ends
end

-- Call a command with many pairs of values, so many at a time.
local function spread(command, key, values)
  for first = 1, #values, 2 * MOST do
    redis.call(command, key, unpack(values, first, math.min(#values, first + 2 * MOST - 1)))
  end
end
