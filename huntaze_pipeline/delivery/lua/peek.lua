-- ARGV: account.
-- Returns {count, window, calls, in flight, waiting, rest, wait or -1, slot or -1}.
fetch({ ARGV[1] })
local account = accounts[ARGV[1]]
if not account.count then return {} end
local calls, flying = room(account), 0
for n = 1, size(calls) do
  local at, number = entry(calls, n)
  if number > 0 and at > now then flying = flying + 1 end
end
local waiting = redis.call('ZCARD', queues .. account.name)
local at, hangs = earliest(account)
local slot = at and not hangs and math.max(0, at - now) or -1
return {
  account.count, account.window, size(calls) - flying, flying, waiting,
  math.max(0, account.rest - now), waiting > 0 and slot or -1, slot,
}
