-- Make the indexes of a scope again, of which one was evicted.
--
-- KEYS  1 head   2 names   3 expiry   4 changes   5 deleted   6 ops
-- ARGV  1 id that the scope has from now on
-- Reply 1, or 0: nothing was written
local seq, newer = last_change()
if not seq or newer then return 0 end
write_mended(ARGV[1])
redis.call('HSET', KEYS[1], 'seq', whole(seq))
write_lifetime(KEYS[3], {KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]}, 86400000)
return 1
