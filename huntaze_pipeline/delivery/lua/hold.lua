-- ARGV: queues, milliseconds. No claims in this shard for that long: its clock jumped.
local until_ms = instant() + tonumber(ARGV[2])
if until_ms > tonumber(redis.call('HGET', meta, 'hold') or '0') then
  redis.call('HSET', meta, 'hold', string.format('%.0f', until_ms))
end
return until_ms
