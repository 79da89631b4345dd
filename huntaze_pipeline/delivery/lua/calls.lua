-- The calls of an account that count, packed into one string of eight bytes each, by their instants.
-- Six bytes are an instant, big end first, two a serial.
--   head     0; instead of the instant, the window: calls within it are not forgotten
--   running  its serial, and the instant at which its lease ends
--   ended    0, and when it ended, one millisecond up, as the clock rounds down
-- A call counts until its instant and a window more. So a lease that ends is a call that ended then,
-- without anybody's doing. Bytes are never compared by order: Redis does so by its locale.
local SIZE, SERIALS = 8, 65535

local function pack(at, number) return struct.pack('>I6I2', at, number) end

local function entry(calls, n) return struct.unpack('>I6I2', calls, SIZE * n + 1) end

local function size(calls) return #calls / SIZE - 1 end

-- The serial after another.
local function following(number) return number % SERIALS + 1 end

-- Leave out the calls that no window sees any more.
local function trim(calls, window)
  local gone, number = 0, size(calls)
  while gone < number and entry(calls, gone + 1) + window <= now do gone = gone + 1 end
  return gone == 0 and calls or string.sub(calls, 1, SIZE) .. string.sub(calls, SIZE * (gone + 1) + 1)
end

-- Add calls of one instant where they belong; mostly that is near the end.
local function put(calls, at, added)
  local low, high, middle = 0, size(calls), size(calls)
  while low < high do
    if entry(calls, middle) <= at then low = middle else high = middle - 1 end
    middle = math.ceil((low + high) / 2)
  end
  return string.sub(calls, 1, SIZE * (low + 1)) .. added .. string.sub(calls, SIZE * (low + 1) + 1)
end

-- Add permits, which mostly last longer than all before.
local function add(calls, ends, permits)
  return ends >= furthest and calls .. permits or put(calls, ends, permits)
end

-- End a call so many milliseconds ago, or take it out when it was not made. One that is not here has
-- ended before: told twice. After its lease that is not sure, for it may be forgotten; then it counts,
-- on the safe side.
local function finish(calls, call, made, ago)
  local at = now + 1 - ago
  local start = string.find(calls, call, SIZE + 1, true)
  while start and start % SIZE ~= 1 do start = string.find(calls, call, start + 1, true) end
  if start then
    local before, after = string.sub(calls, 1, start - 1), string.sub(calls, start + SIZE)
    -- Mostly all others have ended, and before.
    if made and after == '' and string.sub(before, -2) == '\0\0' and entry(before, size(before)) <= at then
      return before .. pack(at, 0)
    end
    calls = before .. after
  elseif struct.unpack('>I6', call) > now then
    return calls
  end
  return made and put(calls, at, pack(at, 0)) or calls
end

-- When the next call may start, and whether that hangs on one that has not ended: then it is the
-- instant at which it must have. Nothing for a limit of no calls. The calls are trimmed.
local function opening(calls, count, window)
  local over = size(calls) - count + 1
  if over <= 0 then return now, false end
  if count == 0 then return nil, false end
  local at, number = entry(calls, over)
  return at + window, number > 0 and at > now
end
