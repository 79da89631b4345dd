-- What one shard knows of its accounts. Prepended to every script of the limiter, so that one
-- place says how a permit is counted. All keys carry the shard's hash tag.
--
--   meta     hash  epoch, clock (last instant seen), hold (no claims before),
--                  served (permits given, by 21: whose turn it is)
--   log      hash  account -> instants at which calls ended, six bytes each, oldest first
--   busy     hash  account -> permits in flight
--   lease    zset  account|member|score|token -> instant at which the lease ends
--   later    zset  account|member|score -> instant at which the message may queue again
--   limits   hash  account -> count:window:pool, the pool being the platform or nothing
--   blocked  hash  account -> no calls before this instant
--   due      zset  one a priority and pool: account -> earliest instant at which its head may go
--   meta:pools set the pools of all accounts
--   queues.. zset  one an account: member (priority digit + ids) -> score
local meta, log, busy, lease = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local later, limits, blocked = KEYS[5], KEYS[6], KEYS[7]
local due = { KEYS[8], KEYS[9], KEYS[10] }
local queues = ARGV[1]
local SEP = string.char(30)

-- The server's clock in milliseconds.
local function server_time()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

-- The same, but never earlier than any instant this shard has acted on.
local function instant()
  local now = server_time()
  local seen = tonumber(redis.call('HGET', meta, 'clock') or '0')
  if now <= seen then return seen end
  redis.call('HSET', meta, 'clock', string.format('%.0f', now))
  return now
end

local function parts(text)
  local found = {}
  for part in string.gmatch(text .. SEP, '([^' .. SEP .. ']*)' .. SEP) do
    found[#found + 1] = part
  end
  return found
end

local function limit_of(account)
  local text = redis.call('HGET', limits, account)
  if not text then return nil, nil, '' end
  local count, window, pool = string.match(text, '^(%d+):(%d+):?(.*)$')
  return tonumber(count), tonumber(window), pool
end

local function pools_of_shard() return redis.call('SMEMBERS', meta .. ':pools') end

local function due_of(band, pool) return pool == '' and due[band] or due[band] .. ':' .. pool end

local function stamps_of(account, now, window)
  local packed = redis.call('HGET', log, account)
  local live = {}
  if not packed then return live end
  for i = 1, #packed, 6 do
    local stamp = struct.unpack('>I6', packed, i)
    if stamp + window > now then live[#live + 1] = stamp end
  end
  return live
end

-- Count a call that ended at `at`. Only the newest `count` instants can ever decide anything.
local function stamp(account, at, now)
  local count, window = limit_of(account)
  if not count then count, window = 1, 60000 end
  local live = stamps_of(account, now, window)
  live[#live + 1] = at
  table.sort(live)
  local packed = {}
  for i = math.max(1, #live - count + 1), #live do
    packed[#packed + 1] = struct.pack('>I6', live[i])
  end
  redis.call('HSET', log, account, table.concat(packed))
  if redis.call('PTTL', log) < window + 1000 then redis.call('PEXPIRE', log, window + 1000) end
end

local function release(account)
  if redis.call('HINCRBY', busy, account, -1) <= 0 then redis.call('HDEL', busy, account) end
end

-- When may the account's next call start? nil: that hangs on calls that have not ended.
local function earliest(account, now)
  local count, window = limit_of(account)
  if not count then return nil, 0 end
  local flying = tonumber(redis.call('HGET', busy, account) or '0')
  local rest = tonumber(redis.call('HGET', blocked, account) or '0')
  local live = stamps_of(account, now, window)
  local over = flying + #live - count + 1
  if over <= 0 then return math.max(now, rest), 1 - over end
  if over > #live then return nil, 0 end
  return math.max(live[over] + window, rest), 0
end

-- Put the account where its head's priority and its earliest instant belong.
local function place(account, now)
  local head = redis.call('ZRANGE', queues .. account, 0, 0)[1]
  local at = head and earliest(account, now)
  local band = head and tonumber(string.sub(head, 1, 1)) + 1
  local _, _, pool = limit_of(account)
  for i = 1, 3 do
    if at and i == band then
      redis.call('ZADD', due_of(i, pool), string.format('%.0f', at), account)
    else
      redis.call('ZREM', due_of(i, pool), account)
    end
  end
end

local function place_all(accounts, now)
  for account in pairs(accounts) do place(account, now) end
end

-- Let time act: ended leases count as calls that ended then, their messages queue again.
local function settle_time(now)
  local touched = {}
  for _, handle in ipairs(redis.call('ZRANGEBYSCORE', lease, '-inf', now, 'LIMIT', 0, 1000)) do
    local ended = tonumber(redis.call('ZSCORE', lease, handle))
    local part = parts(handle)
    redis.call('ZREM', lease, handle)
    release(part[1])
    stamp(part[1], ended, now)
    if part[2] ~= '' then redis.call('ZADD', queues .. part[1], 'NX', part[3], part[2]) end
    touched[part[1]] = true
  end
  for _, item in ipairs(redis.call('ZRANGEBYSCORE', later, '-inf', now, 'LIMIT', 0, 1000)) do
    local part = parts(item)
    redis.call('ZREM', later, item)
    redis.call('ZADD', queues .. part[1], 'NX', part[3], part[2])
    touched[part[1]] = true
  end
  place_all(touched, now)
end

-- A longer window asks about calls that have been forgotten: rest for it.
local function configure(account, text, now)
  local known, window, pool = limit_of(account)
  local asked, wanted = string.match(text, '^%d+:(%d+):(.*)$')
  if known and window < tonumber(asked) then
    local rest = now + tonumber(asked)
    if rest > tonumber(redis.call('HGET', blocked, account) or '0') then
      redis.call('HSET', blocked, account, string.format('%.0f', rest))
    end
  end
  if known and pool ~= wanted then
    for band = 1, 3 do redis.call('ZREM', due_of(band, pool), account) end
  end
  redis.call('SADD', meta .. ':pools', wanted)
  redis.call('HSET', limits, account, text)
end
