-- Read an entry and, when it is not fresh and nobody computes it, take the lease on it.
--
-- KEYS  1 entry   2 lease   3 tags   4 ops, as shared.lua says
-- ARGV  1 token or '' (no lease wanted)     2 lease, ms
-- Reply {'hit' | 'stale' | 'miss', value, 1 if leased, stamp}
--       {'newer', its format, ''}: no lease was taken, as nothing could replace it
local token, lease = ARGV[1], ARGV[2]
local entry = redis.call('HMGET', KEYS[1], 'value', 'fresh', 'since', 'tags', 'format',
  'stamped')
local status, newer = 'miss', newer_of(entry[5])
if entry[1] and tonumber(entry[2]) and tonumber(entry[3]) then
  status = tonumber(entry[2]) > stamp and 'hit' or 'stale'
  if is_invalid(KEYS[3], entry[4] or '', tonumber(entry[3]), entry[6] == entry[3]) then
    status, newer = 'miss', nil
  end
end
if newer then return newer end
local leased = 0
if status ~= 'hit' and token ~= '' and redis.call('SET', KEYS[2], token, 'NX', 'PX', lease) then
  leased = 1
elseif status ~= 'hit' and token ~= '' and redis.call('GET', KEYS[2]) == token then
  leased = 1 -- the reply to the first sending was lost
end
return {status, status == 'miss' and '' or entry[1], leased, whole(latest(KEYS[3]))}
