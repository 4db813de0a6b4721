"""The variables. A field is the variable of the same name."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict

from sojourn.options import Options
from sojourn.settings.forms import (
    Cap,
    Compressed,
    Count,
    Durable,
    Folder,
    Host,
    Hours,
    KeyFile,
    KeyStore,
    Life,
    Namespace,
    Number,
    Outage,
    Port,
    Seconds,
    Secret,
    Serialized,
    Size,
    Switch,
    Url,
)

_OPEN = Options()


class Variables(BaseSettings):
    """As they stand in the environment, each of the right form. An empty one is not set."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        hide_input_in_errors=True,
        defer_build=True,
    )

    sojourn_url: Url = None
    """The server. It stands alone: no other variable adds to it."""
    sojourn_namespace: Namespace = _OPEN.namespace
    """Stands before every key."""
    sojourn_session_ttl: Life = _OPEN.session_ttl
    """Seconds that a session lives after its last change."""
    sojourn_state_ttl: Life = _OPEN.state_ttl
    """Seconds that user and app state outlive their last touch."""
    sojourn_memory_ttl: Life = _OPEN.memory_ttl
    """Seconds that contexts of users and memories of agents live."""
    sojourn_knowledge_ttl: Life = _OPEN.knowledge_ttl
    """Seconds that shared knowledge lives."""
    sojourn_history_ttl: Life = _OPEN.history_ttl
    """Seconds that the history of a user's sessions lives."""
    sojourn_artifact_ttl: Life = _OPEN.artifact_ttl
    """Seconds that artifacts live."""
    sojourn_thread_ttl: Life = _OPEN.thread_ttl
    """Seconds that a thread of checkpoints lives after its last write."""
    sojourn_max_event_bytes: Count = _OPEN.max_event_bytes
    """The largest event, as JSON."""
    sojourn_max_state_bytes: Count = _OPEN.max_state_bytes
    """The largest state of a session, a user or an app."""
    sojourn_max_artifact_bytes: Count = _OPEN.max_artifact_bytes
    """The largest artifact."""
    sojourn_max_events: Cap = _OPEN.max_events
    """The longest log; the oldest events go first."""
    sojourn_max_sessions: Cap = _OPEN.max_sessions
    """The most sessions of a user."""
    sojourn_strict_ids: Switch = _OPEN.strict_ids
    """Whether only ids made by Sojourn can name sessions."""
    sojourn_near_cache_bytes: Size = _OPEN.near_cache_bytes
    """Memory for decoded events; 0 for none."""
    sojourn_connect_timeout: Seconds = _OPEN.connect_timeout
    """Seconds that a connection may take."""
    sojourn_operation_timeout: Seconds = _OPEN.operation_timeout
    """Seconds without a moving byte after which an operation ends with an error."""
    sojourn_transfer_timeout: Seconds = _OPEN.transfer_timeout
    """Seconds that an operation may take while its bytes move."""
    sojourn_health_check_interval: Seconds = _OPEN.health_check_interval
    """Seconds of silence after which the server is asked whether it is there."""
    sojourn_durability: Durable = _OPEN.durability
    """Which servers must have a write before it is acknowledged."""
    sojourn_replicas: Count = _OPEN.replicas
    """How many must confirm; with `SOJOURN_DURABILITY=replicas`."""
    sojourn_on_outage: Outage = _OPEN.on_outage
    """While the server is away: raise an error, or buffer writes and replay them later."""
    sojourn_journal: Folder = _OPEN.journal
    """Where buffered writes survive the process; with `SOJOURN_ON_OUTAGE=buffer`."""
    sojourn_buffer_calls: Count = _OPEN.buffer_calls
    """Writes that may wait in an outage."""
    sojourn_buffer_bytes: Count = _OPEN.buffer_bytes
    """Bytes that they may have."""
    sojourn_buffer_seconds: Seconds = _OPEN.buffer_seconds
    """Seconds that the oldest may wait."""
    sojourn_notices: Switch = _OPEN.notices
    """Whether every change of a session is published to subscribers."""
    sojourn_keys: KeyFile = _OPEN.keys
    """Encrypts content: a file of master keys, or `env:VARIABLE` for a variable with one in it."""
    sojourn_key_store: KeyStore = _OPEN.key_store
    """Where wrapped data keys are, if not on the same server: a URL or `file:PATH`."""
    sojourn_key_cache_seconds: Seconds = _OPEN.key_cache_seconds
    """Seconds that an unwrapped data key is kept."""
    sojourn_compression: Compressed = _OPEN.compression
    """Whether content is compressed."""
    sojourn_serializer: Serialized = "json"
    """The form of values."""

    redis_enabled: Switch = None
    """`false`: everything is kept in the memory of this process, and the log says so."""
    redis_url: Url = None
    """The server, where `SOJOURN_URL` is not set."""
    redis_host: Host = None
    """The server's host, where no URL is set; else `localhost`."""
    redis_port: Port = None
    """The server's port; else 6379. The value that Kubernetes sets (`tcp://…`) is ignored."""
    redis_db: Number = None
    """The database; else 0. Also for a `REDIS_URL` that names none."""
    redis_password: Secret = None
    """The password as it is, without escapes. Also for a `REDIS_URL` that has none."""
    redis_fallback_to_memory: Switch = None
    """`true` is `SOJOURN_ON_OUTAGE=buffer`, `false` is `raise`."""
    redis_ttl_seconds: Life = None
    """Another name for `SOJOURN_SESSION_TTL`."""
    redis_ttl: Life = None
    """Another name for `SOJOURN_SESSION_TTL`, after `REDIS_TTL_SECONDS`."""
    memory_ttl_hours: Hours = None
    """`SOJOURN_MEMORY_TTL`, in hours."""
    knowledge_ttl_hours: Hours = None
    """`SOJOURN_KNOWLEDGE_TTL`, in hours."""
    history_ttl_hours: Hours = None
    """`SOJOURN_HISTORY_TTL`, in hours."""
    redis_max_connections: Number = None
    """No effect: there is no pool; each event loop has two connections, whatever the load."""
    redis_retry_attempts: Number = None
    """No effect: a call is tried again until `SOJOURN_OPERATION_TIMEOUT` has passed."""
