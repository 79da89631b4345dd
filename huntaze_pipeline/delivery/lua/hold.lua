-- ARGV: milliseconds. No permits in this shard for that long: its clock jumped.
hold = math.max(hold, now + tonumber(ARGV[1]))
tick('hold', whole(hold))
return hold
