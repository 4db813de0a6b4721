-- Hold a lease for longer, if it is still held.
--
-- KEYS  1 entry   2 lease   3 tags   4 ops, as shared.lua says
-- ARGV  1 token   2 lease, ms
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[2], ARGV[2])
