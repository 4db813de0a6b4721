-- Store entries, all or none, once.
--
-- KEYS  1 head (hash)   2 names (zset: key → 0)   3 expiry (zset: key → expires, ms)
--       4 changes (zset: key → number of its last change)   5 deleted (zset: the same)
--       6 ops (zset: operation → number of the change)      7… entries (hashes)
-- ARGV  1 operation   2 id for a new scope   3 expected version of the one entry or ''
--       4 ttl, ms or '' (never)
--       5 tenant: '' (that of the entry stays), or '=' and whose all must be
--       6… for each entry: key, number of what follows, then field, value, …; the first is `value`
-- Reply {'ok' | 'duplicate', version of the last} {'stale', version}
--       {'corrupt', key} {'newer', key, its format or '', a value or ''} {'tenant', key}
local operation_id, scope_id, expected_version, ttl, tenant = unpack(ARGV, 1, 5)
local operation = operation_on(operation_id)
local seq, newer = last_change()
if not seq then return {'corrupt', KEYS[1]} end
local done = redis.call('ZSCORE', KEYS[6], operation)
if done then
  write_again(KEYS[6])
  return {'duplicate', whole(tonumber(done))}
end
if newer then return newer end
local old = {}
local at = 6
for i = 7, #KEYS do
  old[i] = entry_at(KEYS[i], tenant, ARGV[at + 3])
  at = at + 2 + ARGV[at + 1]
  if old[i] and old[i].refused then return old[i].refused end
  local actual = old[i] and old[i].version or 0
  if expected_version ~= '' and tonumber(expected_version) ~= actual then return {'stale', whole(actual)} end
end

write_pruned()
local expires = ttl == '' and '' or whole(now + ttl)
at = 6
for i = 7, #KEYS do
  local key, last = ARGV[at], at + 1 + ARGV[at + 1]
  seq = seq + 1
  write_entry(KEYS[i], key, seq, expires, old[i], tenant, unpack(ARGV, at + 2, last))
  at = last + 1
end
write_change(seq, scope_id, operation)
return {'ok', whole(seq)}
