-- ARGV: queues, epoch, latest believable instant, budget, lease, token, share.
-- Returns {status, now, milliseconds to the next grant or -1, handle...}.
local epoch, latest, budget = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local lasts, token, share = tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7])
if redis.call('HGET', meta, 'epoch') ~= epoch then return { 'LOST', 0, -1 } end
local raw = server_time()
if latest > 0 and raw > latest then return { 'STEP', raw, -1 } end
local now = instant()
local hold = tonumber(redis.call('HGET', meta, 'hold') or '0')
if now < hold then return { 'OK', now, hold - now } end
settle_time(now)

local answer = { 'OK', now, -1 }
local serial = 0

local function grant(account, room)
  local at, free = earliest(account, now)
  local taken = 0
  if at and at <= now then
    local popped = redis.call('ZPOPMIN', queues .. account, math.min(room, free))
    for i = 1, #popped, 2 do
      serial = serial + 1
      local handle = table.concat({ account, popped[i], popped[i + 1], token .. serial }, SEP)
      redis.call('ZADD', lease, string.format('%.0f', now + lasts), handle)
      answer[#answer + 1] = handle
    end
    taken = #popped / 2
    if taken > 0 then redis.call('HINCRBY', busy, account, taken) end
  end
  place(account, now)
  return taken
end

-- Accounts of one priority in the order of their due instants: who has sent stands behind.
local function serve(band, quota)
  local left, rounds = quota, 0
  while left > 0 and rounds < 64 do
    rounds = rounds + 1
    local ready = redis.call('ZRANGEBYSCORE', due[band], '-inf', now, 'LIMIT', 0, 32)
    if #ready == 0 then break end
    for _, account in ipairs(ready) do
      left = left - grant(account, math.min(share, left))
      if left <= 0 then break end
    end
  end
  return quota - left
end

-- High, medium and low share a scarce budget 16 : 4 : 1; what one leaves the others take.
local spent = 0
for band, weight in ipairs({ 16, 4, 1 }) do
  spent = spent + serve(band, math.min(budget - spent, math.ceil(budget * weight / 21)))
end
for band = 1, 3 do
  if spent < budget then spent = spent + serve(band, budget - spent) end
end

local nearest
for _, key in ipairs({ due[1], due[2], due[3], later, lease }) do
  local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]
  if first and (not nearest or tonumber(first) < nearest) then nearest = tonumber(first) end
end
if nearest then answer[3] = math.max(0, nearest - now) end
return answer
