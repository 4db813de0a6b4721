-- Delete an entry and revoke the lease on it, once.
--
-- KEYS  1 entry   2 lease   3 tags   4 ops, as shared.lua says
-- ARGV  1 operation id
-- Reply 1 if there was an entry
local names = {[0] = 'missed ' .. KEYS[1] .. ' ' .. ARGV[1], 'deleted ' .. KEYS[1] .. ' ' .. ARGV[1]}
for found = 0, 1 do
  if redis.call('ZSCORE', KEYS[4], names[found]) then
    write_again(KEYS[4])
    return found
  end
end
local found = redis.call('UNLINK', KEYS[1])
redis.call('UNLINK', KEYS[2])
write_operation(KEYS[4], names[found])
return found
