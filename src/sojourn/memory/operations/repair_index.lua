-- Rebuild the indexes of a scope, of which one was evicted, or restored to an earlier moment.
--
-- KEYS  1 head   2 names   3 expiry   4 changes   5 deleted   6 ops
-- ARGV  1 id that the scope has from now on   2 … names that one index has and another lacks
-- Reply 1, or 0: nothing was written
local scope_id = ARGV[1]
local seq, newer = last_change()
if not seq or newer then return 0 end
local differ = #ARGV == 1
for i = 2, #ARGV do
  local there = 0
  for k = 2, 4 do if redis.call('ZSCORE', KEYS[k], ARGV[i]) then there = there + 1 end end
  if there == 1 or there == 2 then differ = true end
end
if not differ then return 0 end
write_repaired(scope_id, #ARGV > 1)
redis.call('HSET', KEYS[1], 'seq', whole(seq))
write_lifetime(KEYS[3], {KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]}, 86400000)
return 1
