-- Delete checkpoints of a thread with their writes; the thread itself when none is left.
--
-- KEYS  as in shared.lua
-- ARGV  1 thread   2 operation   3 'keep', then 4 how many to keep of each namespace; or 'these', then 4 …
--       their places
-- Reply {'ok', how many}   {'corrupt'} {'newer', its format}: nothing was written
local thread, operation = unpack(ARGV, 1, 2)
local head, newer = head_of(thread)
if newer then return newer end
if not head then return {'ok', 0} end
if is_done(head, thread, operation) then
  write_done_again(head)
  return {'ok', 0}
end
local removed = 0
if ARGV[3] == 'keep' then
  local spaces = {}
  for _, place in ipairs(redis.call('HKEYS', KEYS[2])) do
    spaces[space_of(place)] = true
  end
  for space in pairs(spaces) do removed = removed + write_pruning(space, tonumber(ARGV[4])) end
else
  for i = 4, #ARGV do
    if redis.call('HEXISTS', KEYS[2], ARGV[i]) == 1 then
      removed = removed + 1
      write_removal(ARGV[i])
    end
  end
end
if redis.call('HLEN', KEYS[2]) == 0 then
  write_deletion(thread, name_of('done', thread, operation))
else
  redis.call('RPUSH', KEYS[6], operation)
  redis.call('LTRIM', KEYS[6], -OPS, -1)
  write_expiry(KEYS[6], head.expires)
end
return {'ok', removed}
