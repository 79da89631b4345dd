-- Permits for many accounts without queues, in one look at each table.
-- ARGV: queues, latest believable instant, lease, rest when nothing is known, token,
-- n x (account, count:window:, wanted).
-- Returns {status, now, n x (granted, milliseconds to the next or -1)}.
local latest, lasts, unknown = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local token, first, step = ARGV[5], 6, 3
local raw = server_time()
if latest > 0 and raw > latest then return { 'STEP', raw } end
local now = instant()
if redis.call('HSETNX', meta, 'epoch', 'own') == 1 and unknown > 0 then
  redis.call('HSET', meta, 'hold', string.format('%.0f', now + unknown))
end
local hold = tonumber(redis.call('HGET', meta, 'hold') or '0')
if now < hold then return { 'HOLD', now, hold - now } end
settle_time(now)

local names = {}
for i = first, #ARGV, step do names[#names + 1] = ARGV[i] end
local known = redis.call('HMGET', limits, unpack(names))
for n = 1, #names do
  local text = ARGV[first + step * (n - 1) + 1]
  if known[n] ~= text then configure(names[n], text, now) end
end
local logs = redis.call('HMGET', log, unpack(names))
local flying = redis.call('HMGET', busy, unpack(names))
local rests = redis.call('HMGET', blocked, unpack(names))

local answer, leases, counts, serial = { 'OK', now }, {}, {}, 0
local ends = string.format('%.0f', now + lasts)
for n = 1, #names do
  local place = first + step * (n - 1)
  local count, window = string.match(ARGV[place + 1], '^(%d+):(%d+)')
  count, window = tonumber(count), tonumber(window)
  local out, wanted = tonumber(flying[n] or '0'), tonumber(ARGV[place + 2])
  local used, packed, start = 0, logs[n], 1
  if packed then
    while start <= #packed and struct.unpack('>I6', packed, start) + window <= now do
      start = start + 6
    end
    used = (#packed - start + 1) / 6
  end
  local rest = tonumber(rests[n] or '0')
  local granted = 0
  if rest <= now then granted = math.max(0, math.min(wanted, count - out - used)) end
  for _ = 1, granted do
    serial = serial + 1
    leases[#leases + 1] = ends
    leases[#leases + 1] = names[n] .. SEP .. SEP .. SEP .. token .. serial
  end
  if granted > 0 then
    counts[#counts + 1] = names[n]
    counts[#counts + 1] = out + granted
  end
  -- When the next one is free: at once, when old calls leave the window, or nobody knows.
  local over, wait = out + granted + used - count + 1, -1
  if over <= 0 then
    wait = math.max(0, rest - now)
  elseif over <= used then
    wait = math.max(struct.unpack('>I6', packed, start + 6 * (over - 1)) + window, rest) - now
  end
  answer[#answer + 1] = granted
  answer[#answer + 1] = wait
end
for i = 1, #leases, 4000 do
  redis.call('ZADD', lease, unpack(leases, i, math.min(#leases, i + 3999)))
end
if #counts > 0 then redis.call('HSET', busy, unpack(counts)) end
return answer
