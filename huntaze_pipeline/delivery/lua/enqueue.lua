-- ARGV: n, n x (account, count:window:pool), then m x (account, member, score).
-- Returns how many messages were new to their queues.
local n, new = tonumber(ARGV[1]), 0
for _, name in ipairs(configure(2, n)) do touched[name] = true end
for i = 2 + 2 * n, #ARGV, 3 do
  new = new + redis.call('ZADD', queues .. ARGV[i], 'NX', ARGV[i + 2], ARGV[i + 1])
end
settle_time()
tick()
return new
