-- The end of permits that take.lua gave. ARGV: queues, n x (handle, spent or unused or held).
-- A call whose lease had ended is counted again, on the safe side.
local now = instant()
local names, at = {}, {}
for i = 2, #ARGV, 2 do
  local handle, kind = ARGV[i], ARGV[i + 1]
  if kind ~= 'held' then
    local account = string.sub(handle, 1, string.find(handle, SEP, 1, true) - 1)
    local known = at[account]
    if not known then
      known = { ended = 0, stamps = 0 }
      at[account], names[#names + 1] = known, account
    end
    known.ended = known.ended + redis.call('ZREM', lease, handle)
    if kind == 'spent' then known.stamps = known.stamps + 1 end
  end
end
if #names == 0 then return 0 end

local limited = redis.call('HMGET', limits, unpack(names))
local logs = redis.call('HMGET', log, unpack(names))
local flying = redis.call('HMGET', busy, unpack(names))
local counts, none, written, longest = {}, {}, {}, 0
local now6 = struct.pack('>I6', now + 1)
for n = 1, #names do
  local known = at[names[n]]
  local left = tonumber(flying[n] or '0') - known.ended
  if left > 0 then
    counts[#counts + 1] = names[n]
    counts[#counts + 1] = left
  else
    none[#none + 1] = names[n]
  end
  if known.stamps > 0 then
    local count, window = string.match(limited[n] or '1:60000', '^(%d+):(%d+)')
    count, window = tonumber(count), tonumber(window)
    local packed = (logs[n] or '') .. string.rep(now6, known.stamps)
    written[#written + 1] = names[n]
    written[#written + 1] = string.sub(packed, -6 * count)
    longest = math.max(longest, window)
  end
end
if #counts > 0 then redis.call('HSET', busy, unpack(counts)) end
if #none > 0 then redis.call('HDEL', busy, unpack(none)) end
if #written > 0 then
  redis.call('HSET', log, unpack(written))
  if redis.call('PTTL', log) < longest + 1000 then redis.call('PEXPIRE', log, longest + 1000) end
end
return #names
