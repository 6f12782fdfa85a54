//! Starts real event hubs on this machine, without containers.
