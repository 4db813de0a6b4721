-- Write entries as they once were, all or none, once: with their versions, times and lifetimes. A
-- version that another change of the scope has, or of an entry that is replaced, becomes a new one.
--
-- KEYS  1–6 as in put.lua   7… entries (hashes)
-- ARGV  1 operation   2 id for the scope: whoever searches it reads it anew
--       3 'replace' (what is there) or ''
--       4… for each entry: key, version, created, s, updated, s, expires, ms or '' (never), number
--          of what follows, then field, value, …
-- Reply {'ok', key of an entry that was there and stays, as one of a newer format does in any case …}
--       {'corrupt', key} {'newer', key, its format, ''}
local operation_id, scope_id, mode = unpack(ARGV, 1, 3)
local operation = operation_on(operation_id)
local seq, newer = last_change()
if not seq then return {'corrupt', KEYS[1]} end
if redis.call('ZSCORE', KEYS[6], operation) then
  write_again(KEYS[6])
  return {'ok'}
end
if newer then return newer end
local reply, plan, at = {'ok'}, {}, 4
for i = 7, #KEYS do
  local last = at + 5 + ARGV[at + 5]
  local kind = redis.call('TYPE', KEYS[i]).ok
  local there, stays = kind ~= 'none', mode == ''
  if kind == 'hash' then
    local old = entry_at(KEYS[i], '', ARGV[at + 7])
    stays = stays or (old.refused and old.refused[1] == 'newer')
  end
  if there and stays then
    reply[#reply + 1] = ARGV[at]
  elseif ARGV[at + 4] == '' or tonumber(ARGV[at + 4]) > now then
    plan[#plan + 1] = {entry = KEYS[i], there = there, kind = kind, at = at, last = last}
  end
  at = last + 1
end
if #plan == 0 then return reply end

write_pruned()
for _, step in ipairs(plan) do
  local key, number = ARGV[step.at], tonumber(ARGV[step.at + 1])
  local taken = step.there
  for i = 4, 5 do
    taken = taken or redis.call('ZCOUNT', KEYS[i], whole(number), whole(number)) > 0
  end
  if taken then number = seq + 1 end
  seq = math.max(seq, number)
  if step.kind == 'hash' then
    redis.call('HDEL', step.entry, 'text', 'vector', 'vector_encoding', 'digest', 'tenant')
  else
    redis.call('UNLINK', step.entry)
  end
  redis.call('HSET', step.entry, 'version', whole(number), 'created', ARGV[step.at + 2],
    'updated', ARGV[step.at + 3], 'expires', ARGV[step.at + 4],
    unpack(ARGV, step.at + 6, step.last))
  write_indexed(step.entry, key, whole(number), ARGV[step.at + 4])
end
write_change(seq, scope_id, operation)
redis.call('HSET', KEYS[1], 'id', scope_id)
return reply
