"""Every bound of the uplink in one place; tests pass smaller ones."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in ms, sizes in bytes. `share` is the part of the window that one stream may fill."""

    window: int = 20  # batches in flight, all streams together
    share: int = 16
    batch_rows_max: int = 500
    batch_bytes_max: int = 100_000
    ack_timeout_ms: int = 30_000
    no_subscriber_retry_ms: int = 30_000
    poll_ms: int = 200
    misc_ms: int = 1000  # keep-alive and ack timers are looked at this often
    status_ms: int = 60_000  # the retained status follows the streams at most this often
    save_ms: int = 1000  # uplink.db is written at most this often
    heartbeat_ms: int = 60_000  # and at least this often
    recheck_ms: int = 5000  # the ledger is asked this often even if its files look unchanged
    keepalive_s: int = 20
    connect_timeout_ms: int = 10_000
    settled_ms: int = 10_000  # a connection this old ends a row of failed attempts
    farewell_ms: int = 1000  # how long a clean stop waits for the offline status to be acknowledged
    backoff_base_ms: int = 1000
    backoff_cap_ms: int = 60_000
    backoff_slow_base_ms: int = 5000  # a refusal that only a human ends
    backoff_slow_cap_ms: int = 300_000
