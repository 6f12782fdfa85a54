/// A way to break the algorithm on purpose, so that the simulation can prove that it would notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(hidden)]
#[cfg_attr(not(feature = "flaws"), allow(unreachable_pub))]
pub enum Flaw {
    /// An owner that finds another in its row writes over it.
    NoFencing,
    /// Checkpoints are written in the order of their calls, not of their positions.
    GoesBack,
    /// A child is taken before its parents are finished.
    ChildFirst,
    /// A lease counts from the answer to a renewal, not from its start.
    CountsFromTheEnd,
    /// A lease never runs out for its owner.
    NeverLapses,
    /// An observer waits half of a lease.
    TakesEarly,
    /// An observer counts from when it first saw the owner, not from the last change.
    WatchesOnce,
    /// The owner delivers to the very end of what observers wait for.
    NoMargin,
    /// A renewal without an answer counts as good.
    BelievesLostRenewals,
    /// The take counter is not raised.
    TakesNotRaised,
    /// It goes on delivering while it releases.
    DeliversWhileReleasing,
    /// A seek keeps the generation.
    SeekKeepsGeneration,
    /// A partition is finished before its children have rows.
    FinishesFirst,
    /// A checkpoint is called durable when it is sent.
    AcksEarly,
    /// Nothing is taken from the dead.
    LeavesTheDead,
    /// Nobody asks for a share.
    NeverAsks,
    /// A request for a partition is not seen.
    IgnoresRequests,
}
