-- Accounts with queues. A script fetches those it concerns in one look at each table, changes what
-- it fetched, and saves it at its end.
--
--   limits   hash  account -> count:window:pool, the pool being the platform or nothing
--   lease    zset  account|member|score|token|end -> instant at which the lease ends
--   later    zset  account|member|score -> instant at which the message may queue again
--   due      zset  one a priority and pool: account -> earliest instant at which its head may go
--   pools    set   the pools of all accounts
--   q:..     zset  one an account: member (priority digit + ids) -> score
local limits, lease, later, queues = base .. 'limits', base .. 'lease', base .. 'later', base .. 'q:'
local SEP = string.char(30)
-- touched: whom to place, and which priority they may stand under by now (see place).
local accounts, changed, touched = {}, {}, {}

local function parts(text)
  local found = {}
  for part in string.gmatch(text .. SEP, '([^' .. SEP .. ']*)' .. SEP) do
    found[#found + 1] = part
  end
  return found
end

local function pools_of_shard() return redis.call('SMEMBERS', base .. 'pools') end

local function due_of(band, pool)
  return base .. 'due:' .. (band - 1) .. (pool == '' and '' or ':' .. pool)
end

local function set_limit(account, text)
  local count, window, pool = string.match(text, '^(%d+):(%d+):(.*)$')
  account.text, account.pool = text, pool
  account.count, account.window = tonumber(count), tonumber(window)
end

local function fetch(names)
  local missing = {}
  for _, name in ipairs(names) do
    if not accounts[name] then missing[#missing + 1] = name end
  end
  for first = 1, #missing, MOST do
    local last = math.min(#missing, first + MOST - 1)
    local texts = redis.call('HMGET', limits, unpack(missing, first, last))
    local logs = redis.call('HMGET', log, unpack(missing, first, last))
    local rests = redis.call('HMGET', blocked, unpack(missing, first, last))
    for n = first, last do
      local i, name = n - first + 1, missing[n]
      local account = { name = name, pool = '', rest = tonumber(rests[i] or '0') }
      if texts[i] then set_limit(account, texts[i]) end
      account.calls = logs[i] or pack(account.window or 0, 0)
      accounts[name] = account
    end
  end
end

-- The account's calls that count, and how many more may start now.
local function room(account)
  if not account.count then return account.calls, 0 end
  local calls = trim(account.calls, account.window)
  return calls, account.rest <= now and math.max(0, account.count - size(calls)) or 0
end

-- When may the account's next call start, and does that hang on calls that have not ended?
local function earliest(account)
  if not account.count then return nil, false end
  local at, hangs = opening(room(account), account.count, account.window)
  return at and math.max(at, account.rest), hangs
end

-- Put the account where its head's priority and its earliest instant belong. `was` is the only
-- other priority that it may stand under now: 0 for none, true for any.
local function place(account, was)
  local head = redis.call('ZRANGE', queues .. account.name, 0, 0)[1]
  local at, band = head and earliest(account), head and tonumber(string.sub(head, 1, 1)) + 1
  for i = 1, 3 do
    if at and i == band then
      redis.call('ZADD', due_of(i, account.pool), whole(at), account.name)
    elseif was == true or i == was or i == band then
      redis.call('ZREM', due_of(i, account.pool), account.name)
    end
  end
end

-- Take what has come of a table whose scores are instants.
local function come(key)
  local found = redis.call('ZRANGEBYSCORE', key, '-inf', whole(now), 'LIMIT', 0, 1000)
  if #found > 0 then redis.call('ZREM', key, unpack(found)) end
  return found
end

-- Let time act, messages queue again whose lease or wait has ended; then place whom it concerns.
local function settle_time()
  for _, key in ipairs({ lease, later }) do
    for _, item in ipairs(come(key)) do
      local part = parts(item)
      redis.call('ZADD', queues .. part[1], 'NX', part[3], part[2])
      touched[part[1]] = true
    end
  end
  local names = {}
  for name in pairs(touched) do names[#names + 1] = name end
  fetch(names)
  for name, was in pairs(touched) do place(accounts[name], was) end
  touched = {}
end

-- Write down what has changed, and keep it while any window sees it: new permits last so long.
local function save_accounts(lasts)
  local values, longest = {}, 0
  for name, account in pairs(changed) do
    values[#values + 1] = name
    values[#values + 1] = account.calls
    longest = math.max(longest, account.window or 0)
  end
  if #values == 0 then return end
  spread('HSET', log, values)
  furthest = math.max(furthest, now + lasts)
  local stays = now - raw + lasts + longest + 1000
  if redis.call('PTTL', log) < stays then redis.call('PEXPIRE', log, whole(stays)) end
end

-- Set the limits of n accounts: count:window:pool follows each name, from an argument on.
local function configure(from, n)
  local names, renewed = {}, {}
  for i = from, from + 2 * n - 1, 2 do names[#names + 1] = ARGV[i] end
  fetch(names)
  for i, name in ipairs(names) do
    local account, text = accounts[name], ARGV[from + 2 * i - 1]
    local before, pool = account.text, account.pool
    if text ~= before then
      local window = account.window
      set_limit(account, text)
      -- A longer window asks about calls that may be forgotten: rest for it.
      if window and window < account.window then account.rest = rest(name, account.window) end
      if before and account.pool ~= pool then
        for band = 1, 3 do redis.call('ZREM', due_of(band, pool), name) end
      end
      if not before or account.pool ~= pool then redis.call('SADD', base .. 'pools', account.pool) end
      renewed[#renewed + 1] = name
      renewed[#renewed + 1] = text
    end
  end
  spread('HSET', limits, renewed)
  return names
end
