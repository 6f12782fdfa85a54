//! Event Hubs against the whole contract.
fn main() {}
