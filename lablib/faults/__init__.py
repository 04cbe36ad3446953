"""Work that survives faults: Ray."""
