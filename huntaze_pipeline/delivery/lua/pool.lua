-- Limits that accounts share: a platform's total, and everybody's ("*"). KEYS: base name.
-- A claim takes a chunk of permits before it grants, and says later how many calls ended and how
-- many were not made; what is never said counts as calls that ended when the chunk expired.
--
--   base:name       hash  window, hold, credit of each band, b<second> -> calls ended in it,
--                         c<chunk> -> permits of it still out
--   base:name:out   zset  chunk -> instant at which the calls of its permits must have ended
--
-- ARGV: operation, then its own.
--   lease chunk lasts n x (name, count, window s or -1 when unlimited, high, medium, low wanted)
--       -> milliseconds to the next free permit or -1, then n x (high, medium, low)
--   end n x (name, chunk, ended, unused)
--   restore n x (name, window s, lasts, m, m x (age ms or -1, remaining ms))
local base = KEYS[1]
local ALL = '*'
local WEIGHTS = { 16, 4, 1 }
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)

local function number(key, field) return tonumber(redis.call('HGET', key, field) or '0') end
local function whole(value) return string.format('%.0f', value) end

-- One-second buckets; the oldest that counts is counted whole, so there are window + 1 of them.
local function ended(key, at, count)
  if count > 0 then redis.call('HINCRBY', key, 'b' .. whole(math.floor(at / 1000)), count) end
end

-- Chunks whose time is over end with all that is out of them.
local function expire(key)
  for _, chunk in ipairs(redis.call('ZRANGEBYSCORE', key .. ':out', '-inf', now)) do
    local at = tonumber(redis.call('ZSCORE', key .. ':out', chunk))
    ended(key, at, number(key, 'c' .. chunk))
    redis.call('HDEL', key, 'c' .. chunk)
    redis.call('ZREM', key .. ':out', chunk)
  end
end

-- How many permits are free, and the milliseconds until one more is.
local function look(key, count, window, lasts)
  expire(key)
  local known = number(key, 'window')
  if known < window then
    -- Calls of a limit that is new, or older ones of a longer window, are not known: rest for them.
    redis.call('HSET', key, 'window', window, 'hold', whole(now + window * 1000 + lasts))
  elseif known > window then
    redis.call('HSET', key, 'window', window)
  end
  local used, oldest, second = 0, nil, math.floor(now / 1000)
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local kind, id = string.sub(all[i], 1, 1), tonumber(string.sub(all[i], 2))
    if kind == 'b' and id then
      if id < second - window then
        redis.call('HDEL', key, all[i])
      else
        used = used + tonumber(all[i + 1])
        if not oldest or id < oldest then oldest = id end
      end
    elseif kind == 'c' and string.sub(all[i], 1, 6) ~= 'credit' then
      used = used + tonumber(all[i + 1])
    end
  end
  local first = redis.call('ZRANGE', key .. ':out', 0, 0, 'WITHSCORES')[2]
  local wait = oldest and (oldest + window + 1) * 1000 - now or -1
  if first and wait < 0 then wait = tonumber(first) - now end
  local hold = number(key, 'hold')
  if now < hold then return 0, hold - now end
  return math.max(0, count - used), wait
end

-- Deal out permits one by one: bands take turns 16 : 4 : 1; the last tenth is for high alone.
local function deal(key, free, count, wanted)
  local given, left = { 0, 0, 0 }, free
  local reserve = math.floor(count / 10)
  local credit = {}
  for band = 1, 3 do credit[band] = number(key, 'credit' .. band) end
  while left > 0 do
    local best, total = nil, 0
    for band = 1, 3 do
      if given[band] < wanted[band] and (band == 1 or left > reserve) then
        credit[band] = credit[band] + WEIGHTS[band]
        total = total + WEIGHTS[band]
        if not best or credit[band] > credit[best] then best = band end
      end
    end
    if not best then break end
    credit[best] = credit[best] - total
    given[best] = given[best] + 1
    left = left - 1
  end
  for band = 1, 3 do redis.call('HSET', key, 'credit' .. band, credit[band]) end
  return given
end

local function take(name, chunk, count, lasts)
  if count == 0 then return end
  local key = base .. ':' .. name
  redis.call('HINCRBY', key, 'c' .. chunk, count)
  redis.call('ZADD', key .. ':out', whole(now + lasts), chunk)
end

-- Cut what the platforms may have to what all of them together may have.
local function cut(rows, free, count)
  local wanted, given = { 0, 0, 0 }, {}
  for _, row in ipairs(rows) do
    for band = 1, 3 do wanted[band] = wanted[band] + row.given[band] end
  end
  local allowed = deal(base .. ':' .. ALL, free, count, wanted)
  for i, row in ipairs(rows) do given[i] = { 0, 0, 0 } end
  for band = 1, 3 do
    local moved = true
    while allowed[band] > 0 and moved do
      moved = false
      for i, row in ipairs(rows) do
        if allowed[band] > 0 and given[i][band] < row.given[band] then
          given[i][band] = given[i][band] + 1
          allowed[band] = allowed[band] - 1
          moved = true
        end
      end
    end
  end
  for i, row in ipairs(rows) do row.given = given[i] end
end

local function lease()
  local chunk, lasts = ARGV[2], tonumber(ARGV[3])
  local rows, everybody, next_free = {}, nil, -1
  for i = 4, #ARGV, 6 do
    local row = { name = ARGV[i], count = tonumber(ARGV[i + 1]), window = tonumber(ARGV[i + 2]) }
    row.wanted = { tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4]), tonumber(ARGV[i + 5]) }
    row.given, row.sum = row.wanted, row.wanted[1] + row.wanted[2] + row.wanted[3]
    if row.window > 0 then
      row.free, row.wait = look(base .. ':' .. row.name, row.count, row.window, lasts)
    end
    if row.name == ALL then
      everybody = row
    else
      if row.window > 0 then row.given = deal(base .. ':' .. row.name, row.free, row.count, row.wanted) end
      rows[#rows + 1] = row
    end
  end
  if everybody then cut(rows, everybody.free, everybody.count) end
  local answer, total = { -1 }, 0
  for _, row in ipairs(rows) do
    local sum = row.given[1] + row.given[2] + row.given[3]
    if row.window > 0 then take(row.name, chunk .. row.name, sum, lasts) end
    if everybody then take(ALL, chunk .. row.name, sum, lasts) end
    if sum < row.sum then
      for _, limit in ipairs({ row, everybody }) do
        if limit.wait and limit.wait >= 0 and (next_free < 0 or limit.wait < next_free) then
          next_free = limit.wait
        end
      end
    end
    for band = 1, 3 do answer[#answer + 1] = row.given[band] end
  end
  answer[1] = next_free
  return answer
end

local function finish(key, chunk, calls, unused)
  if number(key, 'window') == 0 then return end
  local out = number(key, 'c' .. chunk)
  if out > calls + unused then
    redis.call('HINCRBY', key, 'c' .. chunk, -(calls + unused))
  elseif out > 0 then
    redis.call('HDEL', key, 'c' .. chunk)
    redis.call('ZREM', key .. ':out', chunk)
  end
  ended(key, now + 1, calls)
end

if ARGV[1] == 'lease' then return lease() end
if ARGV[1] == 'end' then
  for i = 2, #ARGV, 4 do
    for _, name in ipairs({ ARGV[i], ALL }) do
      local key = base .. ':' .. name
      expire(key)
      finish(key, ARGV[i + 1] .. ARGV[i], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]))
    end
  end
  return 0
end
local i = 2
while i <= #ARGV do
  local key, window, calls = base .. ':' .. ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  redis.call('DEL', key, key .. ':out')
  redis.call('HSET', key, 'window', window)
  for n = 1, calls do
    local age, remaining = tonumber(ARGV[i + 1 + 2 * n]), tonumber(ARGV[i + 2 + 2 * n])
    if age >= 0 then
      ended(key, now + 1 - age, 1)
    else
      redis.call('HINCRBY', key, 'clost' .. n, 1)
      redis.call('ZADD', key .. ':out', whole(now + remaining), 'lost' .. n)
    end
  end
  i = i + 3 + 2 * calls
end
return 0
