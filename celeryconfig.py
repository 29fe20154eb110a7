"""Celery's settings as data, each with its reason.

Lower-case names are Celery settings that hold for every broker; ``broker_settings(url)`` adds what
depends on the broker.  Addresses are not here: ``ION_BROKER_URL`` reaches Celery through the settings
object of the process that builds the app.

Numbers that belong together: no job takes longer than 20 s, nothing is delayed by more than 8 s, so stock
Redis may hand an unacknowledged message to another worker after 60 s.
"""

from kombu import Exchange, Queue

from workers.contract import names
from workers.contract.addresses import STOCK, is_redis, reply_url_of, tls_options
from workers.contract.periodic import Periodic, table
from workers.transport import SCHEME, register

# -- messages ---------------------------------------------------------------------------------------
# MessagePack carries our packed payload as bytes, once.  JSON is accepted for operators' own messages
# (celery's remote control among them); nothing that can execute code, such as pickle, ever is.
task_serializer = "msgpack"
result_serializer = "msgpack"
event_serializer = "json"
accept_content = ["msgpack", "json"]
result_accept_content = ["msgpack", "json"]
task_protocol = 2
task_compression = None  # a batch is compressed by the contract (workers.contract.wire), its reply, too

# -- queues -----------------------------------------------------------------------------------------
# One direct exchange, one queue per class of work.  A queue is its class; there are no priorities.
task_default_exchange = "ion"
task_default_exchange_type = "direct"
task_default_queue = names.MAINTENANCE  # whatever names no queue is our own periodic work


def _queue(name: str, arguments: dict[str, object] | None = None) -> Queue:
    exchange = Exchange("ion", type="direct")
    return Queue(name, exchange, routing_key=name, durable=True, queue_arguments=arguments)


task_queues = tuple(_queue(name) for name in names.QUEUES)
task_create_missing_queues = False  # a typo must fail, not make a queue that nobody reads
task_inherit_parent_priority = False

# -- results ----------------------------------------------------------------------------------------
# A batch is answered with one message on its producer's reply list (workers.runtime), which costs a
# tenth of a Celery result and needs no subscription.  So no result backend at all.
task_ignore_result = True
task_store_errors_even_if_ignored = False
task_track_started = False  # one more write a task; events already say it

# -- delivery ---------------------------------------------------------------------------------------
task_acks_late = True  # acknowledge after the reply is out
# What failed, hung or was lost in a pool process is put back and counted by us (workers.base,
# workers.request).  These hold where that was not possible: give back what was lost, keep no loop going.
task_acks_on_failure = True
task_acks_on_timeout = True
task_reject_on_worker_lost = True
worker_prefetch_multiplier = 1  # what a stopping worker must give back stays small, and stops are fast
worker_cancel_long_running_tasks_on_connection_loss = True  # else the batch runs here and again elsewhere
worker_deduplicate_successful_tasks = False  # needs stored results; duplicates are dropped by job_id
task_publish_retry = False  # a producer answers "unavailable" at once instead of blocking in a retry

# -- limits -----------------------------------------------------------------------------------------
task_time_limit = 300  # seconds; prefork's second line: what hangs is ended by the worker's own watchdog
worker_eta_task_limit = 500  # delayed retries held in memory
worker_max_tasks_per_child = 20_000  # prefork: recycle long before a slow leak matters
worker_max_memory_per_child = 400_000  # KiB; prefork

# -- staying up, and going down ---------------------------------------------------------------------
broker_connection_retry_on_startup = True
broker_connection_max_retries = None  # default 100, then the worker exits; outages last longer
broker_channel_error_retry = True  # a full or read-only Redis becomes a reconnect, not an exit
broker_connection_timeout = 3  # seconds
broker_pool_limit = 10  # Flower inspects 5 times at once, with 2 connections each: 4 locked it up for ever
worker_soft_shutdown_timeout = 5.0  # seconds for what is running, then it is given back
worker_enable_soft_shutdown_on_idle = False
worker_proc_alive_timeout = 15.0

# -- what operators see -----------------------------------------------------------------------------
worker_send_task_events = False  # Flower turns them on while it runs; three events a batch otherwise
task_send_sent_event = False  # one more message a batch on the producer's side; replies tell the wait
worker_hijack_root_logger = False  # workers.observability sets logging up
worker_redirect_stdouts = False
worker_enable_remote_control = True
worker_disable_rate_limits = True  # a rate limit per worker is none per fleet
timezone = "UTC"
enable_utc = True


# -- periodic tasks ---------------------------------------------------------------------------------
# What runs by itself: name, task, period in seconds, what becomes of missed ticks (docs/periodic.md).  Any
# number of beats may run: one leads (workers.beat).  The tasks' own docstrings say why so often.
beat_max_loop_interval = 1.0  # seconds between two looks; each renews the lead, which lasts for six
beat_schedule = table(
    Periodic(names.CACHE_WARM, names.CACHE_WARM, 60, missed="once"),
    Periodic(names.CACHE_PREFETCH, names.CACHE_PREFETCH, 30, missed="skip"),
    Periodic(names.DEAD_TIDY, names.DEAD_TIDY, 3_600, missed="once"),
    Periodic(names.MONITORING_COLLECT, names.MONITORING_COLLECT, 1, missed="skip"),
    Periodic(names.MONITORING_EVALUATE, names.MONITORING_EVALUATE, 5, missed="skip"),
    Periodic(names.MONITORING_TIDY, names.MONITORING_TIDY, 300, missed="once"),
    Periodic(names.MONITORING_DIGEST, names.MONITORING_DIGEST, 60, missed="once"),
)

# -- brokers ----------------------------------------------------------------------------------------
_REDIS = {
    "health_check_interval": 5,  # seconds; a half-open connection is found in 10 s, not 46 s
    "socket_timeout": 3,  # without it a publish can hang for ever
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    "priority_steps": [0],  # one list per queue
    "global_keyprefix": names.BROKER_PREFIX,
    "max_connections": 20,
    "queue_order": names.QUEUES,  # ours: strictly in this order, but for each 16th claim
    "worker_name": "",  # ours: a worker fills in its own (workers.signals)
}
_STOCK = {  # what only kombu's own transport needs
    "visibility_timeout": 60,  # seconds; see above
    "unacked_restore_interval": 5,  # sweep every 5 s x 1, not every 10 s x 10
    "unacked_restore_throttle": 1,
    "unacked_restore_limit": 500,  # unlimited would block in one sweep
    "unacked_mutex_expire": 30,  # a worker killed inside a sweep stops recovery for so long
    "queue_order_strategy": "round_robin",
}
DELIVERY_LIMIT = 20  # how often RabbitMQ takes a message back before it moves it to the dead queue
_AMQP_CLASS = {
    "x-queue-type": "quorum",  # on disks of a majority of nodes; counts deliveries (x-delivery-count)
    "x-delivery-limit": DELIVERY_LIMIT,  # workers isolate what kills them after two; this is the last resort
    "x-dead-letter-exchange": "",  # then it goes, by name, to the dead queue; the guard makes a letter of it
    "x-dead-letter-routing-key": names.DEAD,
    "x-dead-letter-strategy": "at-least-once",  # it leaves its queue when the dead queue has it
    "x-overflow": "reject-publish",  # what at-least-once asks for; no length limit is set here
}
_AMQP_DEAD = {
    "x-queue-type": "quorum",
    # In effect none: RabbitMQ 4 would drop a letter after 20 otherwise, and while the database is away each
    # worker takes one and gives it back every 30 s.
    "x-delivery-limit": 2_000_000_000,
}
_AMQP = {
    "task_queues": tuple(
        _queue(name, _AMQP_DEAD if name == names.DEAD else _AMQP_CLASS) for name in names.QUEUES
    ),
    "worker_detect_quorum_queues": True,  # they know no prefetch per connection, only one per queue
    "broker_transport_options": {
        "confirm_publish": True,  # publishing returns when the broker has the message
        "read_timeout": 10,
        "write_timeout": 10,
    },
    "broker_heartbeat": 10,
}


def broker_settings(broker_url: str) -> dict[str, object]:
    """Return the settings that depend on the broker at *broker_url* (Redis/Valkey or RabbitMQ).

    Redis and Valkey are served by our transport, unless ``stock+`` before the URL asks for kombu's.
    Raises BadAddress.
    """
    if not is_redis(broker_url):
        return {"broker_url": broker_url, **_AMQP}
    url = reply_url_of(broker_url)
    tls = {"broker_use_ssl": tls_options(url)} if url.startswith("rediss://") else {}
    if broker_url.startswith(STOCK):
        options = {**_REDIS, **_STOCK}
        return {"broker_url": broker_url.removeprefix(STOCK), "broker_transport_options": options, **tls}
    register()
    return {"broker_url": f"{SCHEME}+{url}", "broker_transport_options": {**_REDIS}, **tls}
