-- Whether something was revoked or forgotten since a write that waits was made.
--
-- KEYS  1 tombstones of the slot (hash: SALT:HASH → MS KIND)
-- ARGV  1 for how many ms the write has waited   2 the names of its tombstones, a space between them
-- Reply 'revoked', 'forgotten' or ''
return find_tombstone(KEYS[1], ARGV[1], ARGV[2])
