//! Amazon Kinesis for anyhub, on the AWS SDK.

#[doc(hidden)]
pub mod aggregate;
