-- ARGV: epoch, latest believable instant, budget, lease, token, share, how many priorities may go,
-- then for each pool that has a limit of its own: name, and permits for high, medium and low.
-- Returns {status, now, milliseconds to the next grant or -1, handle...}.
local latest, budget, lasts = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local token, share, bands = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
if epoch ~= ARGV[1] then return { 'LOST', 0, -1 } end
if latest > 0 and raw > latest then return { 'STEP', raw, -1 } end
if now < hold then
  tick()
  return { 'OK', now, hold - now }
end
settle_time()

local answer, leases, ends = { 'OK', now, -1 }, {}, whole(now + lasts)
local pools, room_of = pools_of_shard(), {}
table.sort(pools)
for i = 8, #ARGV, 4 do
  room_of[ARGV[i]] = { tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]) }
end

local function room_in(pool, band) return room_of[pool] and room_of[pool][band] or math.huge end

-- How many of an account's next messages may go; when only high ones may, it ends before any other.
local function going(account, most)
  if bands == 3 or most == 0 then return most end
  local heads, n = redis.call('ZRANGE', queues .. account.name, 0, most - 1), 0
  while heads[n + 1] and string.sub(heads[n + 1], 1, 1) == '0' do n = n + 1 end
  return n
end

local function grant(account, most, pool, band)
  local calls, free = room(account)
  local goes = going(account, math.min(most, free))
  -- Permits of a pool say so, for their end has to be told to it.
  local mark = room_of[pool] and token .. pool .. ':' or token
  local popped = goes > 0 and redis.call('ZPOPMIN', queues .. account.name, goes) or {}
  local permits = {}
  for i = 1, #popped, 2 do
    serial = following(serial)
    permits[#permits + 1] = pack(now + lasts, serial)
    local handle = table.concat({ account.name, popped[i], popped[i + 1], mark .. serial, ends }, SEP)
    leases[#leases + 1] = ends
    leases[#leases + 1] = handle
    answer[#answer + 1] = handle
  end
  if #permits > 0 then
    account.calls = put(calls, now + lasts, table.concat(permits))
    changed[account.name] = account
  end
  place(account, band)
  return #permits
end

-- Some accounts of one priority and pool in the order of their due instants: who has sent stands
-- behind. Returns how many were granted, or nil when nobody is due.
local function turn(band, pool, left)
  local most = math.min(left, room_in(pool, band))
  if most <= 0 then return nil end
  local ready = redis.call('ZRANGEBYSCORE', due_of(band, pool), '-inf', now, 'LIMIT', 0, 32)
  fetch(ready)
  local taken = 0
  for _, name in ipairs(ready) do
    if taken >= most then break end
    taken = taken + grant(accounts[name], math.min(share, most - taken), pool, band)
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
local rounds = math.floor(budget / #ROUND)
local quotas = { 16 * rounds, 4 * rounds, rounds }
local served = tonumber(redis.call('HGET', meta, 'served') or '0')
for n = served, served + budget % #ROUND - 1 do
  local band = ROUND[n % #ROUND + 1]
  quotas[band] = quotas[band] + 1
end
local spent = 0
for band = 1, bands do spent = spent + serve(band, quotas[band]) end
-- What one leaves the others take.
for band = 1, bands do
  if spent < budget then spent = spent + serve(band, budget - spent) end
end
spread('ZADD', lease, leases)
save_accounts(lasts)
-- A claim for high alone is nobody's turn.
tick('served', bands < 3 and served or (served + spent) % #ROUND)

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
