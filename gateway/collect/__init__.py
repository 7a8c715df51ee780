"""Process `collect`: meters in, ledger and live file out."""
