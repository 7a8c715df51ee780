"""Every wire to the mWh; a serial line that is not there or not ours costs the others nothing."""

from __future__ import annotations

import pytest

from tests.e2e.energy import compare
from tests.e2e.site.conftest import Ended
from tests.e2e.site.plant import FEEDER, HONEST, MUTE, SPOILED


def test_every_interval_row_equals_the_registers_shown_on_its_wire(ended: Ended) -> None:
    truth = {meter: ended.truth[meter] for meter in (*HONEST, *SPOILED, FEEDER)}
    compare(ended.site.config, ended.site.ledger.intervals(None, 0, 1 << 60), truth, at_least=3)


@pytest.mark.parametrize(
    ("bus", "device", "reason", "command"),
    [
        ("unplugged", "no-such-line", "there is no such device", "ls -l {device} /dev/rs485-* /dev/serial/by-id"),
        ("forbidden", "not-mine", "not permitted", "ls -l {device}; id"),
    ],
)
def test_a_serial_line_that_cannot_be_opened_is_named_with_the_command_that_shows_why(
    ended: Ended, bus: str, device: str, reason: str, command: str
) -> None:
    (told,) = [e for e in ended.site.events("bus_down") if e["bus"] == bus]
    path = str(ended.site.folder / device)
    assert told["data"]["reason"] == f"{path}: {reason}"
    assert command.format(device=path) in told["data"]["hint"]
    assert path in told["text"]["en"]


def test_the_other_buses_go_on(ended: Ended) -> None:
    counts = ended.site.ledger.counts(0, 1 << 60)
    for meter in ("lost-1", "locked-1"):
        assert counts[meter].valid == 0
        assert set(counts[meter].missed) == {"bus"}
    assert set(counts[MUTE].missed) == {"meter"}
    for meter in HONEST:
        silent_s = 10  # of the end of the run, when nothing is shown any more
        assert counts[meter].valid >= counts[meter].due - silent_s
