-- Store entries that are not there and that no other keeps away, once. What is there lives on.
--
-- KEYS  1–6 as in put.lua   7… for each: the entry, and the one that keeps it away or itself
-- ARGV  1 operation   2 id for a new scope   3 'replace' (what is something else) or ''
--       4 ttl, ms or '' (never)
--       5… for each: key, key of the one that keeps it away or '', number of what follows, then
--          field, value, …
-- Reply {'ok', number of the last change} {'corrupt', key}
local operation, seq = operation_on(ARGV[1]), last_change()
if not seq then return {'corrupt', KEYS[1]} end
if redis.call('ZSCORE', KEYS[6], operation) then return {'ok', whole(seq)} end
local expires = ARGV[4] == '' and '' or whole(now + ARGV[4])

-- Whether an entry has just these fields, ARGV[first…last], beside the four that all have.
local function is_as(entry, first, last)
  if redis.call('HLEN', entry) ~= 4 + (last - first + 1) / 2 then return false end
  for at = first, last, 2 do
    if redis.call('HGET', entry, ARGV[at]) ~= ARGV[at + 1] then return false end
  end
  return true
end

-- Whether it would live longer than it does; a hundredth is not worth a write.
local function is_longer(old)
  return old ~= '' and (expires == '' or (tonumber(old) or 0) < now + ARGV[4] * 0.99)
end

local plan, at = {}, 5
for i = 7, #KEYS, 2 do
  local first, last = at + 3, at + 2 + ARGV[at + 2]
  local away = ARGV[at + 1] ~= '' and redis.call('EXISTS', KEYS[i + 1]) == 1
  local entry, key = KEYS[i], ARGV[at]
  if away then entry, key = KEYS[i + 1], ARGV[at + 1] end
  local old = redis.call('HMGET', entry, 'version', 'created', 'expires')
  local known = is_count(old[1]) and old[2] and old[3]
  if not known and redis.call('EXISTS', entry) == 1 then return {'corrupt', entry} end
  local step = {entry = entry, key = key, created = old[2]}
  if not known or (not away and ARGV[3] == 'replace' and not is_as(entry, first, last)) then
    step.first, step.last = first, last
    plan[#plan + 1] = step
  elseif is_longer(old[3]) then
    plan[#plan + 1] = step
  end
  at = last + 1
end
if #plan == 0 then return {'ok', whole(seq)} end

write_pruned()
for _, step in ipairs(plan) do
  seq = seq + 1
  if step.first then
    write_entry(step.entry, step.key, seq, expires, step.created, unpack(ARGV, step.first, step.last))
  else
    redis.call('HSET', step.entry, 'version', whole(seq), 'expires', expires)
    write_indexed(step.entry, step.key, seq, expires)
  end
end
write_change(seq, ARGV[2], operation)
return {'ok', whole(seq)}
