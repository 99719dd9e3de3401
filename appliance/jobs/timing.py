"""How patient a worker is. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Every wait of a worker, in seconds."""

    #: A worker that is silent for so long has lost its jobs.
    lease_s: float = 10.0
    heartbeat_s: float = 3.0
    #: The longest wait between two looks at the queue; notifications and due times wake it earlier.
    poll_s: float = 3.0
    #: A run that takes longer is worth showing live.
    announce_after_s: float = 0.5
    database_retry_s: float = 0.5
    #: For handlers to end when the worker stops.
    stop_s: float = 10.0
