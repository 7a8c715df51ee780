"""The vocabulary and the arithmetic. Pure: no I/O, no clock, no asyncio, no logging."""
