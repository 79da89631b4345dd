-- ARGV: queues, account.
-- Returns {count, window, calls, in flight, waiting, rest, wait or -1, slot or -1}.
local now, account = instant(), ARGV[2]
local count, window = limit_of(account)
if not count then return {} end
local rest = tonumber(redis.call('HGET', blocked, account) or '0')
local waiting = redis.call('ZCARD', queues .. account)
local slot = earliest(account, now)
local at = waiting > 0 and slot
return {
  count, window, #stamps_of(account, now, window),
  tonumber(redis.call('HGET', busy, account) or '0'), waiting,
  math.max(0, rest - now), at and math.max(0, at - now) or -1,
  slot and math.max(0, slot - now) or -1,
}
