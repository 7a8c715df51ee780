"""Process `uplink`: ledger to MQTT, the cursor moves only on proof of receipt."""
