-- ARGV: epoch, n, n x (account, count:window:pool), then m x (account, age, remaining).
-- One call each: `age` milliseconds since it ended, or -1 and `remaining` until it must have.
-- Adds to the ended calls that the shard still knows, then makes the shard valid for the epoch.
-- Permits of the epoch before are void: those that became calls are among the calls told here.
local n = tonumber(ARGV[2])
redis.call('DEL', lease)
configure(3, n)
local told_of, longest = {}, 1
for i = 3 + 2 * n, #ARGV, 3 do told_of[#told_of + 1] = ARGV[i] end
fetch(redis.call('HKEYS', log))
fetch(told_of)
for name, account in pairs(accounts) do
  local ended = { string.sub(account.calls, 1, SIZE) }
  for i = 1, size(account.calls) do
    local at, number = entry(account.calls, i)
    if number == 0 then ended[#ended + 1] = pack(at, 0) end
  end
  account.calls = table.concat(ended)
  changed[name] = account
end
for i = 3 + 2 * n, #ARGV, 3 do
  local account, age, remaining = accounts[ARGV[i]], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local at, number = now + remaining, 0
  if age >= 0 then
    at = now + 1 - age
  else
    serial = following(serial)
    number, longest = serial, math.max(longest, remaining)
  end
  account.calls = put(account.calls, at, pack(at, number))
end
save_accounts(longest)
for _, pool in ipairs(pools_of_shard()) do
  for band = 1, 3 do
    for _, name in ipairs(redis.call('ZRANGE', due_of(band, pool), 0, -1)) do touched[name] = true end
  end
end
settle_time()
tick('epoch', ARGV[1])
return now
