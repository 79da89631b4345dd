-- The end of permits that take.lua gave.
-- ARGV: {whether they became calls, {instant, serial of a permit, accounts}...}, as JSON.
local made, permits = unpack(cjson.decode(ARGV[1]))
local changed, written = {}, {}
for _, permit in ipairs(permits) do
  local call, names = pack(permit[1], permit[2]), permit[3]
  local logs = redis.call('HMGET', log, unpack(names))
  for k, account in ipairs(names) do
    -- A call of an account that is not known makes it rest for whatever its window is.
    local known = changed[account] or logs[k] or pack(0, 0)
    local calls = finish(known, call, made, 0)
    if calls ~= known then changed[account] = calls end
  end
end
for account, calls in pairs(changed) do
  written[#written + 1] = account
  written[#written + 1] = calls
end
spread('HSET', log, written)
tick()
return now
