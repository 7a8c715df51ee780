"""Process : meters in, ledger and live file out."""
