-- Make the indexes of a user say of some sessions what is the case.
--
-- KEYS  1 sessions (zset: session → updated)   2 sessions:expiry (zset: session → expires, ms)
--       3… sessions (hashes)
-- ARGV  their ids
-- Reply {how many are gone and were taken out, how many were missing and were entered}
local dropped, entered = 0, 0
for i, id in ipairs(ARGV) do
  local kind = redis.call('TYPE', KEYS[i + 2]).ok
  if kind == 'none' then
    local was = redis.call('ZREM', KEYS[1], id) + redis.call('ZREM', KEYS[2], id)
    dropped = dropped + math.min(1, was)
  elseif kind == 'hash' then
    local head = redis.call('HMGET', KEYS[i + 2], 'updated', 'expires')
    -- A full server refuses a ZADD that would change nothing, too.
    local known = redis.call('ZSCORE', KEYS[1], id) and redis.call('ZSCORE', KEYS[2], id)
    if not known and is_time(head[1]) and is_span(head[2]) then
      local added = redis.call('ZADD', KEYS[1], 'NX', head[1], id)
        + redis.call('ZADD', KEYS[2], 'NX', head[2] == '' and '+inf' or head[2], id)
      if added > 0 then
        entered = entered + 1
        write_index_lifetime(KEYS[1], KEYS[2], head[2])
      end
    end
  end
end
return {dropped, entered}
