"""The wire: bytes in, Readings out. No disk, no MQTT, no web."""
