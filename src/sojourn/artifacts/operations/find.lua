-- Find a version.
--
-- KEYS  1 artifact (hash)   2 index (zset: name → expires, ms)
-- ARGV  1 name   2 version or '' (the last)   3 ttl, ms or '' (never)
-- Reply {'ok', version, record, what stands beside an encoded one as created or '', what its data are called,
--       and when the artifact is to be touched (also as its index was evicted): what the data of all
--       its versions are called} {'missing'} {'lost'} {'corrupt'}
--       {'newer', its format}
local head, newer = head_of(KEYS[1])
if newer then return newer end
if head == nil then return {absent(KEYS[2], ARGV[1])} end
if not head then return {'corrupt'} end
local version = ARGV[2] == '' and head.versions - 1 or tonumber(ARGV[2])
if version >= head.versions then return {'missing'} end
local number = whole(version)
local found = redis.call('HMGET', KEYS[1], 'version:' .. number, 'data:' .. number, 'created:' .. number)
if not (found[1] and found[2]) then return {'corrupt'} end
local reply = {'ok', number, found[1], found[3] or '', found[2]}
if is_due(head.expires, ARGV[3]) or not redis.call('ZSCORE', KEYS[2], ARGV[1]) then
  for _, name in ipairs(data_of(KEYS[1], head.versions)) do reply[#reply + 1] = name end
end
return reply
