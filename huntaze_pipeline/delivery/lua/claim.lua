-- ARGV: queues, epoch, latest believable instant, budget, lease, token, share, then for each pool
-- that has a limit of its own: name, and permits for high, medium and low.
-- Returns {status, now, milliseconds to the next grant or -1, handle...}.
local epoch, latest, budget = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local lasts, token, share = tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7])
local known = redis.call('HMGET', meta, 'epoch', 'hold', 'served')
if known[1] ~= epoch then return { 'LOST', 0, -1 } end
local raw = server_time()
if latest > 0 and raw > latest then return { 'STEP', raw, -1 } end
local now = instant()
local hold = tonumber(known[2] or '0')
if now < hold then return { 'OK', now, hold - now } end
settle_time(now)

local answer = { 'OK', now, -1 }
local serial = 0
local pools, room_of = pools_of_shard(), {}
table.sort(pools)
for i = 8, #ARGV, 4 do
  room_of[ARGV[i]] = { tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]) }
end

local function room_in(pool, band) return room_of[pool] and room_of[pool][band] or math.huge end

local function grant(account, room, pool)
  local at, free = earliest(account, now)
  local taken = 0
  if at and at <= now then
    -- Permits of a pool say so, for their end has to be told to it.
    local mark = room_of[pool] and token .. pool .. ':' or token
    local popped = redis.call('ZPOPMIN', queues .. account, math.min(room, free))
    for i = 1, #popped, 2 do
      serial = serial + 1
      local handle = table.concat({ account, popped[i], popped[i + 1], mark .. serial }, SEP)
      redis.call('ZADD', lease, string.format('%.0f', now + lasts), handle)
      answer[#answer + 1] = handle
    end
    taken = #popped / 2
    if taken > 0 then redis.call('HINCRBY', busy, account, taken) end
  end
  place(account, now)
  return taken
end

-- Some accounts of one priority and pool in the order of their due instants: who has sent stands
-- behind. Returns how many were granted, or nil when nobody is due.
local function turn(band, pool, left)
  local most = math.min(left, room_in(pool, band))
  if most <= 0 then return nil end
  local ready = redis.call('ZRANGEBYSCORE', due_of(band, pool), '-inf', now, 'LIMIT', 0, 32)
  local taken = 0
  for _, account in ipairs(ready) do
    if taken >= most then break end
    taken = taken + grant(account, math.min(share, most - taken), pool)
  end
  if room_of[pool] then room_of[pool][band] = room_of[pool][band] - taken end
  return #ready > 0 and taken or nil
end

local function serve(band, quota)
  local left, rounds, more = quota, 0, true
  while left > 0 and more and rounds < 64 do
    rounds, more = rounds + 1, false
    for _, pool in ipairs(pools) do
      local taken = turn(band, pool, left)
      if taken then left, more = left - taken, true end
    end
  end
  return quota - left
end

-- High, medium and low share a scarce budget 16 : 4 : 1: each permit has its place in a round of 21.
-- The round goes on where the last claim left it, so that small claims come to the same.
local ROUND = { 1, 1, 2, 1, 1, 1, 1, 2, 1, 1, 3, 1, 1, 2, 1, 1, 1, 1, 2, 1, 1 }
local served = tonumber(known[3] or '0')
local rounds = math.floor(budget / #ROUND)
local quotas = { 16 * rounds, 4 * rounds, rounds }
for n = served, served + budget % #ROUND - 1 do
  local band = ROUND[n % #ROUND + 1]
  quotas[band] = quotas[band] + 1
end
local spent = 0
for band = 1, 3 do spent = spent + serve(band, quotas[band]) end
-- What one leaves the others take.
for band = 1, 3 do
  if spent < budget then spent = spent + serve(band, budget - spent) end
end
if spent > 0 then redis.call('HSET', meta, 'served', (served + spent) % #ROUND) end

local nearest
local keys = { later, lease }
for _, pool in ipairs(pools) do
  for band = 1, 3 do
    if room_in(pool, band) > 0 then keys[#keys + 1] = due_of(band, pool) end
  end
end
for _, key in ipairs(keys) do
  local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]
  if first and (not nearest or tonumber(first) < nearest) then nearest = tonumber(first) end
end
if nearest then answer[3] = math.max(0, nearest - now) end
return answer
