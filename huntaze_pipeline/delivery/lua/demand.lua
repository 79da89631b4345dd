-- ARGV: most, pool... Returns how many messages of each pool could go now, as high, medium, low;
-- at most `most` each.
settle_time()
tick()
local most = tonumber(ARGV[1])

local function wanted(key)
  local sum = 0
  local names = redis.call('ZRANGEBYSCORE', key, '-inf', whole(now), 'LIMIT', 0, most)
  fetch(names)
  for _, name in ipairs(names) do
    local _, free = room(accounts[name])
    sum = sum + math.min(free, redis.call('ZCARD', queues .. name))
    if sum >= most then return most end
  end
  return sum
end

local answer = {}
for i = 2, #ARGV do
  for band = 1, 3 do answer[#answer + 1] = wanted(due_of(band, ARGV[i])) end
end
return answer
