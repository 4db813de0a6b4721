-- Read objects, with those below them.
--
-- KEYS  as in shared.lua
-- ARGV  their digests
-- Reply for each digest, object
local reply, seen, todo = {}, {}, {}
for i, digest in ipairs(ARGV) do todo[i] = digest end
while #todo > 0 do
  local digest = table.remove(todo)
  if not seen[digest] then
    seen[digest] = true
    local object = redis.call('HGET', KEYS[4], digest)
    if object then
      reply[#reply + 1] = digest
      reply[#reply + 1] = object
      for _, child in ipairs(children_of(object)) do todo[#todo + 1] = child end
    end
  end
end
return reply
