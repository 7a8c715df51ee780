"""Simulated plant, meters, stations and broker. For demo and tests; never imported by product code."""
