-- Whether something was revoked or forgotten since a write that waits was made.
--
-- KEYS  1 tombstones of the slot (hash: SALT:HASH → MS KIND)
-- ARGV  1 for how many ms the write has waited   2 what it may be buried as, a space between names
-- Reply 'revoked', 'forgotten' or ''
return buried(KEYS[1], ARGV[1], ARGV[2])
