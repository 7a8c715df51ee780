"""`wattledger simulate`: meters on real wires, faults on demand, until it is told to stop.

`python -m simulators.simulate --demo-json --control` prints one JSON line with endpoints and site.toml text
when every wire is open, then serves until SIGTERM, SIGINT or the end of stdin.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ConfigError, GatewayError
from simulators.factory import METERS, demo_plant
from simulators.load_shape import Load, Shifts, mix
from simulators.plant import Plant, steady_clock
from simulators.replay import Replay, load_recording
from simulators.simulation import MeterSpec, Simulation, SiteSpec, WireProtocol, WireSpec, write_truth

PROTOCOLS: tuple[WireProtocol, ...] = ("modbus-tcp", "modbus-rtu-tcp", "modbus-rtu", "iec104")
POINT_MAP = "iec104-typical"
METERS_MAX = 1000
UNITS_MAX = 247
PACE_OFFSET_MS = 600
KW = 1_000_000  # mW
STEP_MS, FINE_STEP_MS = 1000, 100  # of integration; fine for a recording that is played too fast for the other


@dataclass(frozen=True, slots=True)
class SimulateOptions:
    """What is simulated. `profiles` and `protocols` are given to the meters in turn; IEC 104 has its own map.

    `one_port`: all meters of a protocol are units behind one port; otherwise each has its own (a
    pseudo-terminal always carries all of its protocol). `port` 0 takes free ones, else they count up from it.
    `faults` are lines of faults.py with times from the start. `replay` gives the first meter a recorded load,
    `replay_speed` times as fast. `control` reads fault lines from stdin and stops at its end.
    """

    meters: int = 1
    profiles: tuple[str, ...] = ("eastron-sdm630",)
    protocols: tuple[WireProtocol, ...] = ("modbus-tcp",)
    one_port: bool = False
    host: str = "127.0.0.1"
    port: int = 0
    baud: int | None = None
    seed: int = 7
    faults: tuple[str, ...] = ()
    replay: Path | None = None
    replay_speed: int = 1
    truth: Path | None = None
    demo: bool = False
    language: str = "en"
    json: bool = False
    control: bool = False


def build(options: SimulateOptions) -> Simulation:
    """The simulation of these options, not yet started. Raises ConfigError."""
    clock = steady_clock()
    if options.demo:
        try:
            return demo_plant(options.meters, options.seed, language=options.language, clock=clock)
        except ValueError as error:
            raise ConfigError(str(error), hint="try --meters 9 --language en") from error
    if not 1 <= options.meters <= METERS_MAX:
        raise ConfigError(
            f"{options.meters} meters cannot be simulated", hint=f"write --meters 1 to {METERS_MAX}"
        )
    loads: list[Load] = [_load(options.seed, number) for number in range(options.meters)]
    step_ms = STEP_MS
    if options.replay is not None:
        recording = load_recording(options.replay)
        loads[0] = Replay(recording, clock() // 1000 * 1000, options.replay_speed)
        step_ms = STEP_MS if recording.shortest_ms >= STEP_MS * options.replay_speed else FINE_STEP_MS
    wires = _wires(options, loads)
    return Simulation(SiteSpec("simulated"), wires, clock, seed=options.seed, host=options.host, step_ms=step_ms)


def _load(seed: int, number: int) -> Load:
    day_kw = 5 + mix(seed, number) % 60
    return Shifts(seed + number, day_kw * KW, day_kw * KW // 3, day_kw * KW // 5, ripple_milli=150)


def _wires(options: SimulateOptions, loads: Sequence[Load]) -> list[WireSpec]:
    """The meters on their wires: round robin over protocols, units counted per shared wire."""
    groups: dict[str, list[tuple[WireProtocol, MeterSpec]]] = {}
    for number, load in enumerate(loads):
        protocol = options.protocols[number % len(options.protocols)]
        shared = protocol == "modbus-rtu" or (options.one_port and protocol != "iec104")
        group = groups.setdefault(protocol if shared else f"wire-{number + 1}", [])
        profile = POINT_MAP if protocol == "iec104" else options.profiles[number % len(options.profiles)]
        group.append((protocol, MeterSpec(f"sim-{number + 1}", profile, load, unit=len(group) + 1)))
    if any(len(group) > UNITS_MAX for group in groups.values()):
        raise ConfigError(
            f"one wire carries at most {UNITS_MAX} units", hint="leave out --one-port, or use fewer meters"
        )
    wires = []
    port = options.port
    for name, group in groups.items():
        protocol = group[0][0]
        wires.append(WireSpec(name, protocol, tuple(spec for _, spec in group), port, options.baud))
        if port and protocol != "modbus-rtu":
            port += 1
    return wires


def _say(text: str) -> None:
    print(text, flush=True)


async def simulate(options: SimulateOptions, *, say: Callable[[str], None] = _say) -> None:
    """Serve until cancelled, SIGTERM, SIGINT or (with `control`) the end of stdin. Raises ConfigError."""
    simulation = build(options)
    for text in options.faults:
        simulation.plant.order(text, simulation.plant.start_ms)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await simulation.start()
    except OSError as error:
        raise ConfigError(
            f"a port cannot be opened: {error}", hint="see who has it: ss -ltnp; or use --port 0"
        ) from error
    try:
        say(_ready_json(simulation) if options.json else _ready_table(simulation))
        work: list[Coroutine[None, None, object]] = [stop.wait(), _keep_pace(simulation.plant, options.truth)]
        if options.control:
            work.append(_control(simulation.plant))
        await _until_one_ends(work)
    finally:
        await simulation.close()
        if options.truth is not None:
            write_truth(simulation.plant, options.truth)


async def _until_one_ends(work: Iterable[Coroutine[None, None, object]]) -> None:
    """Run side by side until one returns or raises; what it raised is raised here, the rest is cancelled."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    for task in done:
        task.result()


async def _keep_pace(plant: Plant, truth: Path | None) -> None:
    """Every second: integrate up to now, so that no request waits for it, and write the truth."""
    while True:
        plant.advance()
        if truth is not None:
            write_truth(plant, truth)
        # In the middle of a second, when a gateway that polls on the second does not wait for an answer.
        await asyncio.sleep(1 - (plant.clock() - PACE_OFFSET_MS) % 1000 / 1000)


async def _control(plant: Plant) -> None:
    """Fault lines from stdin until its end, times from now; one not understood is answered on stderr."""
    reader = asyncio.StreamReader()
    try:
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    except ValueError as error:
        raise ConfigError(
            f"stdin cannot be listened to: {error}", hint="give a terminal or a pipe, or no --control"
        ) from error
    while line := await reader.readline():
        try:
            plant.order(line.decode())
        except (ConfigError, UnicodeDecodeError) as error:
            print(f"{error}\n  {getattr(error, 'hint', '')}", file=sys.stderr)


def _ready_json(simulation: Simulation) -> str:
    return json.dumps(
        {"ready": True, "endpoints": simulation.endpoints(), "site_toml": simulation.site_toml()}
    )


def _ready_table(simulation: Simulation) -> str:
    lines = [f"{'meter':<20}{'protocol':<16}{'where':<28}{'unit':>4}  profile"]
    for wire in simulation.endpoints():
        where = wire.get("device") or f"{wire['host']}:{wire['port']}"
        lines += [
            f"{m['id']:<20}{wire['protocol']:<16}{where:<28}{m['unit']:>4}  {m['profile']}"
            for m in wire["meters"]
        ]
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `simulate` on a parser; `options_from` reads them back."""
    add = parser.add_argument
    add("--meters", type=int, help=f"how many meters (default 1, of the demo plant {METERS})")
    add(
        "--profile",
        action="append",
        metavar="ID",
        help="register map; several take turns (default eastron-sdm630)",
    )
    add(
        "--protocol", action="append", choices=PROTOCOLS, help="wire; several take turns (default modbus-tcp)"
    )
    add("--one-port", action="store_true", help="all meters of a protocol are units behind one port")
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=int, default=0, help="first port, counting up; 0 takes free ones")
    add("--baud", type=int, help="make the pseudo-terminal as slow as this line")
    add("--seed", type=int, default=7, help="same seed, same loads")
    add("--fault", action="append", metavar="LINE", help='e.g. "sim-1:silent@20s+15s"; may be repeated')
    add("--replay", type=Path, metavar="FILE", help="recorded load (CSV, may be .gz) for the first meter")
    add("--replay-speed", type=int, default=1, metavar="N", help="seconds of the recording per second")
    add("--truth", type=Path, metavar="FILE", help="write true energy and registers shown there every second")
    add("--demo", action="store_true", help="the plant of `wattledger demo`, on its own mix of wires")
    add("--language", choices=("zh", "en"), default="en", help="names of the demo plant")
    add("--json", action="store_true", help="print endpoints and site.toml as one JSON line")
    add("--control", action="store_true", help="read fault lines from stdin, stop at its end")


def options_from(args: argparse.Namespace) -> SimulateOptions:
    """Options from parsed arguments. Raises ConfigError."""
    if args.replay_speed < 1 or not 0 <= args.port <= 65_535 or args.meters == 0:
        raise ConfigError(
            "--meters and --replay-speed must be 1 or more, --port 0 to 65535", hint="leave them out"
        )
    return SimulateOptions(
        meters=args.meters or (METERS if args.demo else 1),
        profiles=tuple(args.profile or ("eastron-sdm630",)),
        protocols=tuple(args.protocol or ("modbus-tcp",)), one_port=args.one_port, host=args.host,
        port=args.port, baud=args.baud, seed=args.seed, faults=tuple(args.fault or ()), replay=args.replay,
        replay_speed=args.replay_speed, truth=args.truth, json=args.json, control=args.control,
        demo=args.demo, language=args.language,
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Entry of the simulator's own process; exit codes as in the project's contract."""
    parser = argparse.ArgumentParser(prog="python -m simulators.simulate", description=__doc__)
    add_arguments(parser)
    parser.add_argument("--demo-json", action="store_true", help="short for --demo --json")
    args = parser.parse_args(argv)
    if args.demo_json:
        args.demo = args.json = True
    try:
        asyncio.run(simulate(options_from(args)))
    except GatewayError as error:
        print(f"{error}\n  {error.hint}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
