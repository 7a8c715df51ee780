"""The room with clock, disk, network north and people."""
