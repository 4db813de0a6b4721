-- Store entries, all or none, once.
--
-- KEYS  1 head (hash)   2 names (zset: key → 0)   3 expiry (zset: key → expires, ms)
--       4 changes (zset: key → number of its last change)   5 deleted (zset: the same)
--       6 ops (zset: operation → number of the change)      7… entries (hashes)
-- ARGV  1 operation   2 id for a new scope   3 expected version of the one entry or ''
--       4 ttl, ms or '' (never)
--       5… for each entry: key, number of what follows, then field, value, …
-- Reply {'ok' | 'duplicate', version of the last} {'stale', version} {'corrupt', key}
local operation, seq = operation_on(ARGV[1]), last_change()
if not seq then return {'corrupt', KEYS[1]} end
local done = redis.call('ZSCORE', KEYS[6], operation)
if done then return {'duplicate', whole(tonumber(done))} end
local created = {}
for i = 7, #KEYS do
  local old = redis.call('HMGET', KEYS[i], 'version', 'created')
  if old[1] and is_count(old[1]) and old[2] then
    created[i] = old[2]
  elseif redis.call('EXISTS', KEYS[i]) == 1 then
    return {'corrupt', KEYS[i]}
  end
  local actual = created[i] and tonumber(old[1]) or 0
  if ARGV[3] ~= '' and tonumber(ARGV[3]) ~= actual then return {'stale', whole(actual)} end
end

write_pruned()
local expires = ARGV[4] == '' and '' or whole(now + ARGV[4])
local at = 5
for i = 7, #KEYS do
  local key, last = ARGV[at], at + 1 + ARGV[at + 1]
  seq = seq + 1
  write_entry(KEYS[i], key, seq, expires, created[i], unpack(ARGV, at + 2, last))
  at = last + 1
end
write_change(seq, ARGV[2], operation)
return {'ok', whole(seq)}
