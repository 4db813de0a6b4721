-- Give an artifact to another owner, with all of its versions and their lifetime.
--
-- KEYS  1 artifact (hash)   2 index (zset: name → expires, ms)   3, 4 the same of the new owner
--       5 … for each version: its data, the same of the new owner, the new owner's memory of its save
-- ARGV  1 name
-- Reply {'ok'}   {'missing'}, as when it was moved before; {'exists'}: the new owner has one;
--       {'keys', data …}: keys of these versions are wanted; {'newer', its format}: what its data are
--       called cannot be known; nothing was written
local kind = redis.call('TYPE', KEYS[1]).ok
local head, newer
if kind == 'hash' then head, newer = head_of(KEYS[1]) end
if newer and not head then return newer end
if kind == 'none' and absent(KEYS[2], ARGV[1]) == 'missing' then return {'missing'} end
if redis.call('EXISTS', KEYS[3]) == 1 or absent(KEYS[4], ARGV[1]) == 'lost' then return {'exists'} end
local names = head and data_of(KEYS[1], head.versions) or {}
local given = #KEYS == 4 + 3 * #names
for i, name in ipairs(names) do
  local at = 2 + 3 * i
  given = given and KEYS[at] == KEYS[1] .. ':data:' .. name
    and KEYS[at + 1] == KEYS[3] .. ':data:' .. name and KEYS[at + 2] == KEYS[3] .. ':saved:' .. name
end
if not given then return ask(names) end
-- What cannot be read, or was lost, is so at the new owner's, and no less loud.
local expires = head and head.expires or redis.call('ZSCORE', KEYS[2], ARGV[1])
if not expires then
  local left = redis.call('PTTL', KEYS[1])
  expires = left < 0 and '' or whole(now + left)
end

write_index(KEYS[4], ARGV[1], expires == 'inf' and '' or expires)
if kind ~= 'none' then redis.call('RENAME', KEYS[1], KEYS[3]) end
for i = 1, #names do
  local at = 2 + 3 * i
  if redis.call('EXISTS', KEYS[at]) == 1 then redis.call('RENAME', KEYS[at], KEYS[at + 1]) end
  if names[i] ~= '' then redis.call('SET', KEYS[at + 2], whole(i - 1), 'PX', DAY) end
end
redis.call('ZREM', KEYS[2], ARGV[1])
write_index_expiry(KEYS[2])
return {'ok'}
