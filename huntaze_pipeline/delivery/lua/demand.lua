-- ARGV: queues, most, pool... Returns how many messages of each pool could go now, as
-- high, medium, low; at most `most` each.
local now = instant()
settle_time(now)
local most = tonumber(ARGV[2])

local function wanted(key)
  local sum = 0
  for _, account in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, most)) do
    local _, free = earliest(account, now)
    sum = sum + math.min(free, redis.call('ZCARD', queues .. account))
    if sum >= most then return most end
  end
  return sum
end

local answer = {}
for i = 3, #ARGV do
  for band = 1, 3 do answer[#answer + 1] = wanted(due_of(band, ARGV[i])) end
end
return answer
