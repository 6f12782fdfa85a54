use crate::sync::{Mutex, lock};
use std::{
    fmt,
    sync::{Arc, Weak},
};

/// The producers or consumers that a hub has opened, so that it can close those left when it closes
/// itself. It keeps none of them alive.
pub struct Opened<T>(Mutex<Vec<Weak<T>>>);

impl<T> Opened<T> {
    /// Takes one in. A hub that may have been closed meanwhile looks whether it was after this, and
    /// closes the new one itself.
    pub fn add(&self, one: &Arc<T>) {
        let mut all = lock(&self.0);
        all.retain(|one| one.strong_count() > 0);
        all.push(Arc::downgrade(one));
    }

    /// Those that were not dropped, oldest first.
    pub fn left(&self) -> Vec<Arc<T>> {
        lock(&self.0).iter().filter_map(Weak::upgrade).collect()
    }
}

impl<T> Default for Opened<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> fmt::Debug for Opened<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened({})", self.left().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_left_are_known_and_the_others_forgotten() {
        let opened = Opened::default();
        let (first, second) = (Arc::new(1), Arc::new(2));
        opened.add(&first);
        opened.add(&second);
        drop(first);
        assert_eq!(opened.left().iter().map(|it| **it).sum::<i32>(), 2);
        assert_eq!(Arc::strong_count(&second), 1);
    }

    #[test]
    fn what_was_dropped_takes_no_room() {
        let opened = Opened::default();
        for nth in 0..1_000 {
            opened.add(&Arc::new(nth));
        }
        assert_eq!(lock(&opened.0).len(), 1);
    }
}
