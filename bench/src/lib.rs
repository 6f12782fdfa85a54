//! Compares event hubs on one tweet-sentiment workload: latency, throughput, order, delivery.

pub mod assertion;
pub mod bad_input;
pub mod cli;
pub mod command;
pub mod doctor;
pub mod exit;
pub mod histogram;
pub mod hubs;
pub mod job;
pub mod keys;
pub mod nearest;
pub mod pacing;
pub mod payload;
pub mod progress;
mod redact;
pub mod report;
pub mod runner;
pub mod sentiment;
pub mod tweets;
pub mod units;
pub mod verify;
pub mod workload;
