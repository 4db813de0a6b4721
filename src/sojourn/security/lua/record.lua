-- Count a decision, and a session that was attempted by somebody else.
-- KEYS: counts, flagged. ARGV: what to count, a session's digest or nothing.
local what, session = ARGV[1], ARGV[2]
redis.call('HINCRBY', KEYS[1], what, 1)
redis.call('PEXPIRE', KEYS[1], MONTH)
if session ~= '' then
  redis.call('PFADD', KEYS[2], session)
  redis.call('PEXPIRE', KEYS[2], MONTH)
end
return 1
