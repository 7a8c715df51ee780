"""The uplink as a process of its own, over a paper ledger: process.py STORE URL LIMITS-as-JSON."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from paper_ledger import PaperLedger

from gateway.site.settings import Settings
from gateway.uplink.limits import Limits
from gateway.uplink.main import run_uplink


async def main() -> None:
    store, url, limits = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    tables = {"site": {"id": "p"}, "store": {"path": store}, "mqtt": {"url": url}}
    await run_uplink(
        Settings.model_validate(tables), stop=stop, limits=Limits(**limits),
        open_source=lambda: PaperLedger(store),
    )  # fmt: skip


asyncio.run(main())
