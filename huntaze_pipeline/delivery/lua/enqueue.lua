-- ARGV: queues, n, n x (account, count:window), then m x (account, member, score).
-- Returns how many messages were new to their queues.
local now = instant()
local n = tonumber(ARGV[2])
local touched, new = {}, 0
for i = 3, 2 + 2 * n, 2 do
  configure(ARGV[i], ARGV[i + 1], now)
  touched[ARGV[i]] = true
end
for i = 3 + 2 * n, #ARGV, 3 do
  new = new + redis.call('ZADD', queues .. ARGV[i], 'NX', ARGV[i + 2], ARGV[i + 1])
  touched[ARGV[i]] = true
end
place_all(touched, now)
return new
