-- ARGV: queues, epoch, n, n x (account, count:window), then m x (account, age, remaining).
-- One call each: `age` milliseconds since it ended, or -1 and `remaining` until it must have.
-- Adds to the ended calls that the shard still knows, then makes the shard valid for the epoch.
-- Permits of the epoch before are void: those that became calls are among the calls told here.
local now = instant()
local n = tonumber(ARGV[3])
redis.call('DEL', busy, lease)
for i = 4, 3 + 2 * n, 2 do configure(ARGV[i], ARGV[i + 1], now) end
for i = 4 + 2 * n, #ARGV, 3 do
  local account, age, remaining = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  if age >= 0 then
    stamp(account, now + 1 - age, now)
  else
    local handle = table.concat({ account, '', '', ARGV[2] .. i }, SEP)
    redis.call('ZADD', lease, string.format('%.0f', now + remaining), handle)
    redis.call('HINCRBY', busy, account, 1)
  end
end
for _, pool in ipairs(pools_of_shard()) do
  for band = 1, 3 do
    for _, account in ipairs(redis.call('ZRANGE', due_of(band, pool), 0, -1)) do
      place(account, now)
    end
  end
end
redis.call('HSET', meta, 'epoch', ARGV[2])
return now
