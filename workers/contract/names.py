"""Names that outlive deployments: queues and tasks.

A message may wait on a queue while both ends are redeployed, so a name here is never reused for
something else.
"""

import hashlib

INTERACTIVE = "interactive"  # a person is waiting
BULK = "bulk"  # batch pipelines
MAINTENANCE = "maintenance"  # periodic work
EVENTS = "events"  # monitoring events
DEAD = "dead"  # dead letters on their way into the database

QUEUES = (INTERACTIVE, DEAD, MAINTENANCE, EVENTS, BULK)  # the class order: an earlier one is served first

PERSONA_PROCESS = "persona.process"
PERSONA_RECOMMEND = "persona.recommend"
CACHE_WARM = "cache.warm"
CACHE_PREFETCH = "cache.prefetch"
DEAD_KEEP = "dead.keep"
DEAD_TIDY = "dead.tidy"
MONITORING_COLLECT = "monitoring.collect"
MONITORING_EVALUATE = "monitoring.evaluate"
MONITORING_TIDY = "monitoring.tidy"
MONITORING_DIGEST = "monitoring.digest"

TASK_NAMES = frozenset(
    {
        *(PERSONA_PROCESS, PERSONA_RECOMMEND, CACHE_WARM, CACHE_PREFETCH, DEAD_KEEP, DEAD_TIDY),
        *(MONITORING_COLLECT, MONITORING_EVALUATE, MONITORING_TIDY, MONITORING_DIGEST),
    }
)

CACHE_VERSION_NOTE = "version"  # shared note: which answers are the present ones

KEY_PREFIX = "ion:"  # of every key that we write to Redis or Valkey


BROKER_PREFIX = f"{KEY_PREFIX}{{broker}}:"  # of the broker's keys; the braces put them in one cluster slot

REPLY_TTL_S = 120  # replies that nobody has fetched for so long are dropped with their list
SETTLED_TTL_S = 300  # how long a batch is known to have its end (150 bytes): a message comes again in 15 s
OUTCOME_TTL_S = 3_600  # how long the outcome of a durable job can be asked for
TRAIL_TTL_S = 3_600  # how long a client's latest batches can be followed
MOST_TRAIL = 1_000  # batches of one client, of 200 bytes each
WORK_TTL_S = 3_600  # how long it is known which job of a batch was at work when its worker was lost

DUPLICATES_KEY = f"{KEY_PREFIX}count:duplicates"  # how many deliveries of settled batches came; permanent

REPORTS_KEY = f"{KEY_PREFIX}{{metrics}}:reports"  # what processes have measured, until it is collected
REPORTS_TAKEN_KEY = f"{KEY_PREFIX}{{metrics}}:taken"  # what is being collected
MOST_REPORTS = 20_000  # that wait; beyond them the oldest go
REPORTS_COLLECTOR_KEY = f"{KEY_PREFIX}{{metrics}}:collector"  # there while somebody collects; lapses
REPORTS_DROPPED_KEY = f"{KEY_PREFIX}{{metrics}}:dropped"  # how many those were, until it is told; lapses
REPORTS_TTL_S = 3 * 24 * 3_600  # as long as minutes are kept
WORKERS_SEEN_KEY = f"{KEY_PREFIX}{{metrics}}:workers"  # when each worker was last seen to be there; lapses
WRITTEN_KEY = f"{KEY_PREFIX}{{metrics}}:written"  # how much a database with replicas had written when; lapses
DUPLICATES_SEEN_KEY = f"{KEY_PREFIX}{{metrics}}:duplicates"  # how many of them were counted so far; lapses

BEAT_PREFIX = f"{KEY_PREFIX}{{beat}}:"  # of what beats know together, in one cluster slot
BEAT_LEAD = f"{BEAT_PREFIX}lead"  # who leads, as "epoch owner"; expires unless it is renewed
BEAT_EPOCH = f"{BEAT_PREFIX}epoch"  # how many leads there have been; permanent
BEAT_SLOTS = f"{BEAT_PREFIX}slots"  # by entry: "begin claim", both in ms, of its latest slot; permanent


def users_key(minute: int) -> str:
    """Return the HyperLogLog of those who used the fleet in *minute*, counted since the Unix epoch."""
    return f"{KEY_PREFIX}{{metrics}}:users:{minute}"


def probing_key(region: str) -> str:
    """Return the note that somebody has just looked at the servers of *region*, and nobody else need."""
    return f"{KEY_PREFIX}{{metrics}}:probing:{region}"


def reply_key(client_id: str) -> str:
    """Return the list that holds one producer process's replies; every push renews its expiry."""
    return f"{KEY_PREFIX}reply:{{{client_id}}}"


def settled_key(client_id: str, batch_id: str) -> str:
    """Return the mark of a batch that has its reply; in the slot of the list that the reply went to."""
    return f"{KEY_PREFIX}settled:{{{client_id}}}:{batch_id}"


def trail_key(client_id: str) -> str:
    """Return the list of what workers noted of a client's latest batches; in the slot of its replies."""
    return f"{KEY_PREFIX}trail:{{{client_id}}}"


def outcome_key(job_id: str) -> str:
    """Return the hash of a durable job: ``d``, its request's digest, and ``o``, its packed outcome.

    For whoever follows it: ``a``, when and in which batch it was sent, and ``t``, how that was settled.
    """
    return f"{KEY_PREFIX}outcome:{job_id}"


def work_key(batch_id: str) -> str:
    """Return the journal of a batch that was lost with a worker: which job is being answered."""
    return f"{KEY_PREFIX}work:{batch_id}"


def rate_key(scope: str) -> str:
    """Return the bucket of a rate limit; *scope* may be a secret, such as an API key, and is not shown."""
    return f"{KEY_PREFIX}rate:{hashlib.blake2b(scope.encode(), digest_size=16).hexdigest()}"
