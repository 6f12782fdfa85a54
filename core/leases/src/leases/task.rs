use super::{Progress, Shared};
use crate::{
    LeaseStore, Scope,
    member::{Answer, Operation, Request, RequestId},
};
use anyhub_core::{Error, Result};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use std::sync::Arc;
use tokio::time::{sleep, timeout};

/// Runs the member until it has left: asks the store what it wants to know, side by side.
pub(super) async fn run(shared: Arc<Shared>, store: Arc<dyn LeaseStore>) {
    let mut calls = FuturesUnordered::new();
    let mut requests = Vec::new();
    // A timer does not run through suspend, as the clock does: no wait is long.
    let longest = shared.options.lease / 10;
    loop {
        let now = shared.options.clock.now();
        let wake = {
            let state = &mut *shared.lock();
            let wake = state.member.poll(now, &mut requests);
            shared.absorb(state);
            wake
        };
        if *shared.progress.borrow() == Progress::Left {
            return;
        }
        for request in requests.drain(..) {
            calls.push(call(store.clone(), shared.scope.clone(), request));
        }
        let wait = wake.saturating_sub(now).min(longest);
        tokio::select! {
            Some(answered) = calls.next(), if !calls.is_empty() => {
                answer(&shared, answered);
                while let Some(Some(answered)) = calls.next().now_or_never() {
                    answer(&shared, answered);
                }
            }
            () = shared.due.notified() => {}
            () = sleep(wait) => {}
        }
    }
}

type Answered = (RequestId, Option<Result<Answer>>);

/// None: it was not answered in time.
async fn call(store: Arc<dyn LeaseStore>, scope: Scope, request: Request) -> Answered {
    let work = async {
        Ok(match &request.operation {
            Operation::List => Answer::Listed(store.list(&scope).await?),
            Operation::Write { row, expected } => {
                Answer::Written(store.write(&scope, row, expected.as_ref()).await?)
            }
            Operation::Remove { key, expected } => {
                Answer::Removed(store.remove(&scope, key, expected.as_ref()).await?)
            }
        })
    };
    (request.id, timeout(request.patience, work).await.ok())
}

fn answer(shared: &Shared, (id, answered): Answered) {
    let now = shared.options.clock.now();
    let state = &mut *shared.lock();
    let answer = match answered {
        Some(Ok(answer)) => answer,
        Some(Err(error)) => {
            let retry_after = error.retry_after();
            note(shared, state, error);
            Answer::Failed { retry_after }
        }
        None => {
            tracing::debug!(scope = %shared.scope, "the lease store has not answered in time");
            Answer::Failed { retry_after: None }
        }
    };
    state.member.answer(now, id, answer);
    shared.absorb(state);
}

fn note(shared: &Shared, state: &mut super::State, error: Error) {
    tracing::debug!(scope = %shared.scope, %error, "the lease store failed");
    if !error.is_retryable() && state.trouble.is_none() {
        state.trouble = Some(error);
        shared.changed.notify_one();
    }
}
