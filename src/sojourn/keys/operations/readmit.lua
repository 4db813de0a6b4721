-- Forget that the keys of an owner were destroyed.
--
-- KEYS  1 marks of destroyed ones (hash)   ARGV  1 name as marks have it
-- Reply 1 if they were
local found = 0
for _, mark in ipairs(redis.call('HKEYS', KEYS[1])) do
  local salt, hash = string.match(mark, '^(%x+):(%x+)$')
  if salt and redis.sha1hex(salt .. ':' .. ARGV[1]) == hash then
    redis.call('HDEL', KEYS[1], mark)
    found = 1
  end
end
return found
