-- ARGV: queues, then n x (handle, permit, requeue after or -1, rest of the account or -1).
-- Returns how many leases were still open. A call whose lease had ended is counted again, on the
-- safe side. Six bytes of an ended call are stamped one millisecond up, as the clock rounds down.
local now = instant()
local touched, open = {}, 0
for i = 2, #ARGV, 4 do
  local handle, permit = ARGV[i], ARGV[i + 1]
  local requeue, rest = tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  local part = parts(handle)
  local account, member = part[1], part[2]
  local ends = redis.call('ZSCORE', lease, handle)
  if ends then
    open = open + 1
    redis.call('ZREM', lease, handle)
  else
    redis.call('ZREM', queues .. account, member)
  end
  if ends and permit == 'held' then
    redis.call('ZADD', lease, ends, table.concat({ account, '', '', part[4] }, SEP))
  else
    if ends then release(account) end
    if permit ~= 'unused' then stamp(account, now + 1, now) end
  end
  if requeue >= 0 then
    local item = table.concat({ account, member, part[3] }, SEP)
    redis.call('ZADD', later, string.format('%.0f', now + requeue), item)
  end
  if rest >= 0 and now + rest > tonumber(redis.call('HGET', blocked, account) or '0') then
    redis.call('HSET', blocked, account, string.format('%.0f', now + rest))
  end
  touched[account] = true
end
settle_time(now)
place_all(touched, now)
return open
