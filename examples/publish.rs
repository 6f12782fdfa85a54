//! Publishes ten events under three keys and prints where each was written, where the hub tells:
//!
//!     cargo run -p anyhub-examples --bin publish -- kafka://localhost:9092/tweets

use anyhub_examples::At;
use clap::Parser;
use std::process::ExitCode;

/// Publishes ten events under three keys and prints where each was written, where the hub tells
#[derive(Parser)]
#[command(after_help = "Example:\n  publish 'kafka://localhost:9092/tweets'")]
struct Arguments {
    #[command(flatten)]
    at: At,
}

#[tokio::main]
async fn main() -> ExitCode {
    anyhub_examples::told(run(Arguments::parse()).await)
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let (hub, topic) = arguments.at.open().await?;
    let done = anyhub_examples::publish_ten(&*hub, &topic).await;
    anyhub_examples::closed(&*hub, done).await
}
