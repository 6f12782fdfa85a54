//! The contract of anyhub as trials that every hub runs, and the mutants that prove the trials can
//! fail.
//!
//! A backend writes no tests of its own for the contract. It hands over a [`Harness`], in a test
//! target with `harness = false`, and gets every trial, named after its clause and following the
//! capabilities that the hub declares: what it declares is tried, what it does not must be refused.
//!
//! ```no_run
//! use anyhub_conformance::{Harness, Stalling, run};
//! use anyhub_core::{Hub, TopicConfig, memory::MemoryHub};
//! use async_trait::async_trait;
//! use std::{process::ExitCode, sync::Arc};
//!
//! struct Memory;
//!
//! #[async_trait]
//! impl Harness for Memory {
//!     fn name(&self) -> &str {
//!         "memory"
//!     }
//!
//!     fn runs_on(&self) -> &str {
//!         "memory"
//!     }
//!
//!     async fn start(&self) -> Result<Arc<dyn Hub>, String> {
//!         Ok(Arc::new(MemoryHub::new()))
//!     }
//!
//!     async fn stalling(&self, hub: Arc<dyn Hub>, topic: TopicConfig) -> Result<Stalling, String> {
//!         let topic = topic.property("capacity_bytes", "16384");
//!         Ok(Stalling::by_topic(hub, topic))
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     run(Memory)
//! }
//! ```
//!
//! `cargo test -p anyhub-kafka --test conformance -- C3` runs the trials of one clause. Choices
//! that are left to chance follow `ANYHUB_SEED`. A hub that can't be had is named on stderr and
//! skipped; with `CI=true` or `ANYHUB_CONFORMANCE_REQUIRED` set it is a failure. With
//! `ANYHUB_CONTRACT_OUT=FILE` the results are appended to FILE, which the program `contract-table`
//! prints as clause by hub by result.
//!
//! [`mutants`] are faults built into a hub by a layer. Each is caught by the trial that names its
//! clause; [`table`] maps every clause to its trials and its mutants.

mod cancel;
mod context;
mod failure;
mod harness;
mod ledger;
pub mod mutants;
mod positions;
mod reading;
pub mod results;
mod runner;
mod secrets;
mod stamp;
pub mod table;
mod told;
mod trials;

pub(crate) use context::Context;
pub use failure::{Failure, Outcome};
pub use harness::{Harness, Settings, Stalling};
pub use runner::{run, seed};
pub use secrets::assert_no_secret_is_printed;
pub use told::Told;
pub use trials::{Trial, trials};
