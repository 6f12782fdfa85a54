//! Amazon Kinesis for anyhub: so far the format in which several events travel in one record.

#[doc(hidden)]
pub mod aggregate;
