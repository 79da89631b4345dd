-- Permits for many accounts without queues, in one look at each table.
-- ARGV: {latest believable instant, lease, rest when nothing is known, accounts, groups of these in
-- their order: {how many, count, window, wanted}...}, as JSON.
-- Returns {status, now, serial before the first permit's, then k, granted, milliseconds to the next
-- or -1 for every k-th account where it is not plain: all that it wanted, and 0}.
local latest, lasts, unknown, names, groups = unpack(cjson.decode(ARGV[1]))
if latest > 0 and raw > latest then return { 'STEP', raw, 0 } end
if not epoch then
  hold = unknown > 0 and now + unknown or 0
  redis.call('HSET', meta, 'epoch', 'own', 'hold', whole(hold))
end
if now < hold then
  tick()
  return { 'HOLD', now, hold - now }
end

local ends, permits, most = now + lasts, {}, 0
-- The first permits of every account here are the same: their accounts tell them apart.
local function first(number)
  for i = #permits + 1, number do permits[i] = pack(ends, following(serial + i - 1)) end
  most = math.max(most, number)
  return number == 1 and permits[1] or table.concat(permits, '', 1, number)
end

-- Calls that were kept for another window. A longer one asks about some that may be forgotten.
local function kept_for(account, calls, head, window)
  if struct.unpack('>I6', calls) < window then rest(account, window) end
  return head .. string.sub(calls, SIZE + 1)
end

local answer, written, pairs_written = { 'OK', now, serial }, {}, 0
local logs = redis.call('HMGET', log, unpack(names))
local k = 0
for _, group in ipairs(groups) do
  local number, count, window, wanted = unpack(group)
  local head, plenty, fresh = pack(window, 0), SIZE * (1 + count - wanted), nil
  for _ = 1, number do
    k = k + 1
    local account, calls, granted = names[k], logs[k] or head, wanted
    if string.sub(calls, 1, SIZE) ~= head then calls = kept_for(account, calls, head, window) end
    if #calls < plenty and rests <= now then
      fresh = fresh or first(wanted)
      calls = add(calls, ends, fresh)
    else
      local resting = rests > now and rest_of(account) or 0
      calls = trim(calls, window)
      granted = resting <= now and math.max(0, math.min(wanted, count - size(calls))) or 0
      if granted > 0 then calls = add(calls, ends, first(granted)) end
      local at, hangs = opening(calls, count, window)
      answer[#answer + 1] = k
      answer[#answer + 1] = granted
      answer[#answer + 1] = at and not hangs and math.max(at, resting) - now or -1
    end
    if calls ~= logs[k] then
      written[pairs_written + 1], written[pairs_written + 2] = account, calls
      pairs_written = pairs_written + 2
    end
  end
end
spread('HSET', log, written)
serial, furthest = (serial + most) % SERIALS, math.max(furthest, ends)
tick()
return answer
