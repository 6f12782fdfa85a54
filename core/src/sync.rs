//! The standard library's primitives, or loom's when the crate is model-checked.

#[cfg(not(anyhub_loom))]
pub(crate) use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering},
};

#[cfg(anyhub_loom)]
pub(crate) use loom::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering},
};

#[cfg(anyhub_loom)]
pub(crate) use loom::future::AtomicWaker;

#[cfg(not(anyhub_loom))]
pub(crate) use futures_util::task::AtomicWaker;

/// Locks, and goes on after a panic elsewhere: what these locks guard is whole between statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
