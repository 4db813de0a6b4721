-- Hold a lease for longer, if it is still held.
--
-- KEYS  1 lease (string)   ARGV  1 token   2 lease, ms
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
