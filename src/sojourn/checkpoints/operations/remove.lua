-- Delete checkpoints of a thread with their writes; the thread itself when none is left.
--
-- KEYS  as in shared.lua
-- ARGV  1 thread   2 operation   3 'keep', then 4 how many to keep of each namespace; or 'these', then 4 …
--       their places
-- Reply {'ok', how many}   {'corrupt'} {'newer', its format}: nothing was written
local thread, operation = unpack(ARGV, 1, 2)
local head, newer = head_of()
if newer then return newer end
if not head then return {'ok', 0} end
if is_done(head, operation) then
  write_done_again(head)
  return {'ok', 0}
end
local removed = 0
if ARGV[3] == 'keep' then
  local spaces = {}
  for _, place in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    spaces[string.match(place, '^[^:]*:')] = true
  end
  for space in pairs(spaces) do removed = removed + write_pruning(space, tonumber(ARGV[4])) end
else
  for i = 4, #ARGV do
    if redis.call('ZSCORE', KEYS[2], ARGV[i]) then
      removed = removed + 1
      write_removal(ARGV[i])
    end
  end
end
if redis.call('ZCARD', KEYS[2]) == 0 then
  write_deletion(thread, operation)
else
  redis.call('RPUSH', KEYS[7], operation)
  redis.call('LTRIM', KEYS[7], -OPS, -1)
  write_expiry(KEYS[7], head.expires)
end
return {'ok', removed}
