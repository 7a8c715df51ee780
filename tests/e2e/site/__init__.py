"""One running gateway over every wire there is, looked at from all sides."""
