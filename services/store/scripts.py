"""The Lua scripts that Redis runs atomically. An episode is changed by these scripts only.

KEYS: the episode's hash, its stream. Times are microseconds since 1970, time to live is milliseconds.
"""

from services.store.keys import BRANCH_FIELD, STATE_FIELD, STEP_FIELD

# ARGV of creation, from index `at` on: now, ttl, agent, agent digest, seed, deterministic, digest of the empty history,
# incarnation: what tells this episode from others that had its name before or will have it later.
_CREATION = """
local function create_if_missing(at)
  if redis.call('EXISTS', KEYS[1]) == 1 then return end
  redis.call('HSET', KEYS[1], 'agent', ARGV[at + 2], 'agent_digest', ARGV[at + 3], 'seed', ARGV[at + 4],
    'deterministic', ARGV[at + 5], 'history', ARGV[at + 6], 'committed', '-1', 'length', '0', 'ended', '0',
    'created_us', ARGV[at], 'updated_us', ARGV[at], 'incarnation', ARGV[at + 7])
  redis.call('DEL', KEYS[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[at + 1])
end
"""

CREATE = (
    _CREATION
    + """
create_if_missing(1)
return {redis.call('PTTL', KEYS[1]), redis.call('HGETALL', KEYS[1])}
"""
)

# ARGV: the creation's, but for the digest, which is that of the steps that follow; the committed step, the length of the
# history, where the branch comes from; then, for each of its steps, the id of its entry and the step.
BRANCH = (
    _CREATION
    + f"""
if redis.call('EXISTS', KEYS[1]) == 0 then
  create_if_missing(1)
  redis.call('HSET', KEYS[1], 'committed', ARGV[9], 'length', ARGV[10], '{BRANCH_FIELD}', ARGV[11])
  for i = 12, #ARGV, 2 do redis.call('XADD', KEYS[2], ARGV[i], '{STEP_FIELD}', ARGV[i + 1]) end
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
return {{redis.call('PTTL', KEYS[1]), redis.call('HGETALL', KEYS[1])}}
"""
)

# ARGV: step, digest before, digest after, record, tokens, retained steps, then the creation's; from 15 on the state of the
# policy after the step, if it has one.
COMMIT = (
    _CREATION
    + f"""
local step = tonumber(ARGV[1])
local function entry_of(number) return string.format('%d-0', number + 1) end

if step == 0 and ARGV[2] == ARGV[13] then create_if_missing(7) end  -- the digest before it is that of no steps
local known = redis.call('HMGET', KEYS[1],
  'committed', 'length', 'ended', 'history', 'seed', 'deterministic', 'created_us', 'incarnation')
local committed = tonumber(known[1] or '')
local whole = committed and tonumber(known[2] or '')
for i = 3, 7 do whole = whole and known[i] end
if not whole then return {{redis.call('EXISTS', KEYS[1]) == 1 and 'DAMAGED' or 'NOT_FOUND', -1}} end
-- First, whether the caller means this episode: all that follows is about it. One of an earlier version has no incarnation.
if (known[8] or known[7]) ~= ARGV[14] then return {{'STALE', committed}} end
-- Retained steps are dropped at the old end only, so the newest one is the committed one, unless the stream was lost.
local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
local stored = newest[1] and newest[1][1] or entry_of(-1)
if stored ~= entry_of(committed) then return {{'DAMAGED', committed}} end
if step <= committed then
  local entries = redis.call('XRANGE', KEYS[2], entry_of(step), '+', 'COUNT', 1)
  if entries[1][1] == entry_of(step) then
    return {{'COMMITTED', committed, entries[1][2][2]}}  -- an entry has one field, whose value follows its name
  end
  local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)
  return {{oldest[1][1] == entries[1][1] and 'TOO_OLD' or 'DAMAGED', committed}}
end
if step > committed + 1 then return {{'GAP', committed}} end
if known[3] == '1' then return {{'ENDED', committed}} end
-- The step must have been computed from the episode as it is: its history, its seed, its way to choose.
if known[4] ~= ARGV[2] or known[5] ~= ARGV[11] or known[6] ~= ARGV[12] then return {{'STALE', committed}} end
redis.call('HINCRBY', KEYS[1], 'length', ARGV[5])
redis.call('XADD', KEYS[2], 'MAXLEN', '=', ARGV[6], entry_of(step), '{STEP_FIELD}', ARGV[4])
redis.call('HSET', KEYS[1], 'committed', ARGV[1], 'history', ARGV[3], 'updated_us', ARGV[7])
if ARGV[15] then redis.call('HSET', KEYS[1], '{STATE_FIELD}', ARGV[15]) end
redis.call('PEXPIRE', KEYS[1], ARGV[8])
redis.call('PEXPIRE', KEYS[2], ARGV[8])
return {{'OK', step}}
"""
)

# ARGV: now, time to live from now on, total reward or nothing. The first reward that is told stays, even after the end.
END = """
if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
if redis.call('HGET', KEYS[1], 'ended') == '0' then
  redis.call('HSET', KEYS[1], 'ended', '1', 'updated_us', ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
if ARGV[3] ~= '' then redis.call('HSETNX', KEYS[1], 'total_reward', ARGV[3]) end
return {redis.call('PTTL', KEYS[1]), redis.call('HGETALL', KEYS[1])}
"""

# ARGV: incarnation, time to live from now on. Returns 1 if it is that episode and has ended, and so is marked.
ARCHIVED = """
local known = redis.call('HMGET', KEYS[1], 'incarnation', 'created_us', 'ended')
if (known[1] or known[2]) ~= ARGV[1] or known[3] ~= '1' then return 0 end
redis.call('HSET', KEYS[1], 'archived', '1')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1
"""

# ARGV: seconds that the deletion is remembered, so that an archiver that has just read the episode does not bring it back.
# Returns whether there was one, and by what the index has it, if that could be read.
DELETE = """
local known = redis.pcall('HMGET', KEYS[1], 'agent_digest', 'created_us')
local deleted = redis.call('DEL', KEYS[1], KEYS[2])
if tonumber(ARGV[1]) > 0 then redis.call('SET', KEYS[3], '1', 'EX', ARGV[1]) end
return {deleted, known[1] or '', known[2] or ''}
"""

# KEYS: a sorted set of the index. ARGV: full name, time of creation. Another episode of that name keeps its place.
FORGET = """
if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '-1') ~= tonumber(ARGV[2]) then return 0 end
return redis.call('ZREM', KEYS[1], ARGV[1])
"""

# ARGV: incarnation, step. Returns 1 if it is that episode and the step is committed.
STANDING = """
local known = redis.call('HMGET', KEYS[1], 'incarnation', 'created_us', 'committed')
return ((known[1] or known[2]) == ARGV[1] and tonumber(known[3] or '-1') >= tonumber(ARGV[2])) and 1 or 0
"""
