//! A request, whichever way it came: counted, and struck by faults.

use std::sync::Arc;

use tonic::Status;

use super::faults::Fault;
use super::service::Service;

/// What can be asked for, as Google's API names it.
pub(super) const METHODS: [&str; 24] = [
    "Publish",
    "Pull",
    "StreamingPull",
    "Acknowledge",
    "ModifyAckDeadline",
    "Seek",
    "CreateTopic",
    "GetTopic",
    "UpdateTopic",
    "DeleteTopic",
    "ListTopics",
    "ListTopicSubscriptions",
    "ListTopicSnapshots",
    "DetachSubscription",
    "CreateSubscription",
    "GetSubscription",
    "UpdateSubscription",
    "DeleteSubscription",
    "ListSubscriptions",
    "CreateSnapshot",
    "GetSnapshot",
    "UpdateSnapshot",
    "DeleteSnapshot",
    "ListSnapshots",
];

/// What becomes of a request.
pub(super) enum Outcome<A> {
    Answer(Result<A, Status>),
    /// It is carried out, and never answered.
    Lost,
}

impl<A> Outcome<A> {
    pub(super) fn map<B>(self, change: impl FnOnce(A) -> B) -> Outcome<B> {
        match self {
            Outcome::Answer(result) => Outcome::Answer(result.map(change)),
            Outcome::Lost => Outcome::Lost,
        }
    }
}

/// Carries a request out, unless a fault is in the way; `in_flight` is how many messages it is about.
pub(super) async fn call<A>(
    service: &Arc<Service>,
    method: &'static str,
    in_flight: usize,
    work: impl Future<Output = Result<A, Status>>,
) -> Outcome<A> {
    service.counters.request(method);
    if let Some(fault) = service.dice.refuses(method) {
        service.counters.strike(fault, in_flight, 0);
        return Outcome::Answer(Err(match fault {
            Fault::ResourceExhausted => Status::resource_exhausted("Quota exceeded, by injection."),
            _ => Status::unavailable("The service is unavailable, by injection."),
        }));
    }
    let result = work.await;
    if let Some(delay) = service.dice.slows(method) {
        service.counters.strike(Fault::SlowAnswer, in_flight, 0);
        tokio::time::sleep(delay).await;
    } else if method == "Publish" && result.is_ok() && service.dice.loses_answer() {
        service
            .counters
            .strike(Fault::LostAnswer, in_flight, in_flight);
        return Outcome::Lost;
    }
    Outcome::Answer(result)
}
