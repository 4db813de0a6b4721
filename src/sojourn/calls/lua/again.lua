-- Before every script, as growth.lua.

-- A write that changes nothing. WAIT asks of the replicas only what this connection has written: what
-- was done before, over another one, is confirmed by writing behind it. A full server takes it.
local function write_again(key)
  local left = redis.call('PTTL', key)
  redis.call('PEXPIRE', key, left < 0 and 86400000 or math.max(1, left))
  if left < 0 then redis.call('PERSIST', key) end
end
