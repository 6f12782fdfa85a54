//! A hub in this process.

use crate::{HubUrl, Result};

/// A hub in this process: partitions, groups and retention without a server.
#[derive(Debug, Default)]
pub struct MemoryHub {}
