-- Counts live for as long as something is counted, and this much longer.
local MONTH = 30 * 24 * 3600 * 1000
