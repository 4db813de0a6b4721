-- Store entries that are not there and that no other keeps away, once. What is there lives on.
--
-- KEYS  1–6 as in put.lua   7… for each: the entry, and the one that keeps it away or itself
-- ARGV  1 operation   2 id for a new scope   3 'replace' (what is something else) or ''
--       4 ttl, ms or '' (never)   5 tenant, as in put.lua
--       6… for each: key, key of the one that keeps it away or '', number of what follows, then
--          field, value, …
-- Reply {'ok', number of the last change} and the refusals of put.lua
local operation_id, scope_id, mode, ttl, tenant = unpack(ARGV, 1, 5)
local operation = operation_on(operation_id)
local seq, newer = last_change()
if not seq then return {'corrupt', KEYS[1]} end
if redis.call('ZSCORE', KEYS[6], operation) then
  write_again(KEYS[6])
  return {'ok', whole(seq)}
end
if newer then return newer end
local expires = ttl == '' and '' or whole(now + ttl)

-- Whether an entry has just these of the fields that are given, ARGV[first…last]. Where one of the two
-- is encoded, their digests say so. A vector that has an encoding is not compared; what only another
-- version knows makes no difference.
local function is_as(entry, first, last)
  local given = {metadata = '{}'}
  for at = first, last, 2 do given[ARGV[at]] = ARGV[at + 1] end
  local found = redis.call('HMGET', entry, 'value', 'metadata', 'text', 'vector', 'vector_encoding',
    'digest')
  if given.digest or found[6] then return given.digest == found[6] end
  return given.value == found[1] and given.metadata == (found[2] or '{}')
    and given.text == (found[3] or nil) and (found[5] or given.vector == (found[4] or nil))
end

-- Whether it would live longer than it does; a hundredth is not worth a write.
local function is_longer(old)
  return old ~= '' and (expires == '' or (tonumber(old) or 0) < now + ttl * 0.99)
end

local plan, at = {}, 6
for i = 7, #KEYS, 2 do
  local first, last = at + 3, at + 2 + ARGV[at + 2]
  local away = ARGV[at + 1] ~= '' and redis.call('EXISTS', KEYS[i + 1]) == 1
  local entry, key = KEYS[i], ARGV[at]
  if away then entry, key = KEYS[i + 1], ARGV[at + 1] end
  local old = entry_at(entry, tenant, ARGV[first + 1])
  if old and old.touched then return old.touched end
  local step = {entry = entry, key = key, old = old}
  if not old or (not away and mode == 'replace' and not is_as(entry, first, last)) then
    if old and old.refused then return old.refused end
    step.first, step.last = first, last
    plan[#plan + 1] = step
  elseif is_longer(old.expires) then
    plan[#plan + 1] = step
  end
  at = last + 1
end
if #plan == 0 then
  write_again(KEYS[1])
  return {'ok', whole(seq)}
end

write_pruned()
for _, step in ipairs(plan) do
  seq = seq + 1
  if step.first then
    write_entry(step.entry, step.key, seq, expires, step.old, tenant,
      unpack(ARGV, step.first, step.last))
  else
    redis.call('HSET', step.entry, 'version', whole(seq), 'expires', expires)
    write_indexed(step.entry, step.key, seq, expires)
  end
end
write_change(seq, scope_id, operation)
return {'ok', whole(seq)}
