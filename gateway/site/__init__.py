"""site.toml and what it names: reading, refusing, checking; profiles and emission factors on the disk."""
