-- Give back a lease with the value that was computed since, or without one.
--
-- KEYS  1 entry   2 lease   3 tags   4 ops, as shared.lua says
-- ARGV  1 token          2 when the lease was taken, µs
--       and when there is a value: 3 value   4 fresh, ms   5 stale after that, ms   6 tags, a line each
-- Reply 1 if the lease was still held; 0 also when the entry was written since in a way that this
-- value may not replace: it stays
local token, taken, value, fresh, stale, tags = unpack(ARGV, 1, 6)
if redis.call('GET', KEYS[2]) ~= token then return 0 end
redis.call('UNLINK', KEYS[2])
if value then
  if refused_at(KEYS[1], value) then return 0 end
  if tags ~= '' then
    -- If the clock went back meanwhile, nobody knows which tags were invalidated since.
    if tonumber(taken) > latest(KEYS[3]) then return 0 end
    write_latest(KEYS[3], tonumber(taken), fresh + stale)
  end
  write_entry(KEYS[1], value, fresh, stale, tags, taken)
end
return 1
