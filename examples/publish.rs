//! Publishes ten events under three keys and prints where each was written:
//!
//!     cargo run -p anyhub-examples --bin publish -- kafka://localhost:9092/tweets

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (hub, topic) = anyhub_examples::open().await?;
    anyhub_examples::publish_ten(&*hub, &topic).await?;
    Ok(hub.close().await?)
}
