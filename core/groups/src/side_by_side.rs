use anyhub_core::Result;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::future::Future;

/// Questions that are asked at a time.
const SIDE_BY_SIDE: usize = 16;

/// Asks several things at a time, up to 16; the answers are in their order. Fails with the first that
/// fails.
pub async fn side_by_side<T, F>(asked: impl IntoIterator<Item = F>) -> Result<Vec<T>>
where
    F: Future<Output = Result<T>>,
{
    // A list first: a lazy one would tie the futures to the closure that makes them.
    let asked: Vec<F> = asked.into_iter().collect();
    let asked = stream::iter(asked).buffered(SIDE_BY_SIDE);
    asked.try_collect().await
}
