"""Clock honesty: readings of a boot whose time is not confirmed wait, but are logged and shown.

They wait for the first sync, at most `clock_hold`. At the sync their time is mono + the confirmed offset;
when the hold ends without a sync they go on as they are, flagged `clock_unsynced`.
"""

from __future__ import annotations

from engine.reading import Quality, Reading
from gateway.clock import Clock


class Hold:
    """Readings that have no `seq` yet."""

    def __init__(self, clock: Clock, hold_ms: int, *, synced: bool) -> None:
        self._clock = clock
        self._until_mono_ms = clock.mono_ms() + hold_ms
        self._waiting: list[Reading] = []  # already taken or not, all of this boot
        self._untaken: list[Reading] = []  # not yet in the log
        self.synced = synced
        self._settled = synced

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def over(self) -> bool:
        """Time to settle: the clock is confirmed, or the longest wait has passed."""
        return not self._settled and (self.synced or self._clock.mono_ms() >= self._until_mono_ms)

    @property
    def waits(self) -> bool:
        """Must a reading wait? Until `settle`, so that none overtakes those that wait already."""
        return not self._settled

    @property
    def flag(self) -> Quality:
        """What a reading's time is worth now."""
        return Quality(0) if self.synced else Quality.CLOCK_UNSYNCED

    def keep(self, reading: Reading) -> None:
        self._waiting.append(reading)
        self._untaken.append(reading)

    def take(self) -> list[Reading]:
        """Held readings for the next commit, so that a power cut does not lose them."""
        taken, self._untaken = self._untaken, []
        return taken

    def settle(self) -> list[Reading]:
        """Call at the sync or when the hold is over: the waiting readings with their final time."""
        held, self._waiting, self._untaken = self._waiting, [], []
        self._settled = True
        if not self.synced:
            return held
        confirmed = ~int(Quality.CLOCK_UNSYNCED)
        return [
            r._replace(t_ms=self._clock.at_mono(r.mono_ms * 1_000_000), flags=r.flags & confirmed) for r in held
        ]
