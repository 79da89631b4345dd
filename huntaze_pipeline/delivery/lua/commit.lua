-- ARGV: n x (handle, permit, requeue after or -1, rest of the account or -1, since when the
-- call is over).
local names, handles = {}, {}
for i = 1, #ARGV, 5 do
  handles[#handles + 1] = parts(ARGV[i])
  names[#names + 1] = handles[#handles][1]
end
fetch(names)
for i, part in ipairs(handles) do
  local place_in = 5 * i - 4
  local handle, permit = ARGV[place_in], ARGV[place_in + 1]
  local requeue, rests = tonumber(ARGV[place_in + 2]), tonumber(ARGV[place_in + 3])
  local name, member, score = part[1], part[2], part[3]
  local account = accounts[name]
  touched[name] = touched[name] or 0
  if redis.call('ZREM', lease, handle) == 0 and redis.call('ZREM', queues .. name, member) == 1 then
    touched[name] = true  -- the lease had ended, the message queued again
  end
  if permit ~= 'held' then
    local call = pack(tonumber(part[5]), tonumber(string.match(part[4], '%d+$')))
    account.calls = finish(account.calls, call, permit == 'spent', tonumber(ARGV[place_in + 4]))
    changed[name] = account
  end
  if requeue >= 0 then
    local item = table.concat({ name, member, score }, SEP)
    redis.call('ZADD', later, whole(now + requeue), item)
  end
  if rests >= 0 then account.rest = rest(name, rests) end
end
save_accounts(1)
settle_time()
tick()
return now
