//! What the issuer remembers.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_lc_rs::rand;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
// Not the one of the standard library: tests set its clock.
use tokio::time::Instant;

/// A bounded number of values under names that cannot be guessed. A new one replaces the oldest that is not protected,
/// or the oldest of all if every one is.
pub(super) struct Store<T> {
    entries: Mutex<VecDeque<Entry<T>>>,
    capacity: usize,
    lifetime: Option<Duration>,
}

struct Entry<T> {
    name: String,
    kept_at: Instant,
    is_protected: bool,
    value: T,
}

impl<T: Clone> Store<T> {
    /// A value without a `lifetime` stays until it is the oldest of too many.
    pub(super) fn new(capacity: usize, lifetime: Option<Duration>) -> Self {
        Self { entries: Mutex::new(VecDeque::new()), capacity, lifetime }
    }

    /// Keeps the value and returns its name.
    pub(super) fn keep(&self, value: T) -> Result<String, NoRandomness> {
        let name = random_name()?;
        let mut entries = self.entries();
        while entries.len() >= self.capacity {
            let oldest = entries.iter().position(|entry| !entry.is_protected).unwrap_or_default();
            entries.remove(oldest);
        }
        entries.push_back(Entry { name: name.clone(), kept_at: Instant::now(), is_protected: false, value });
        Ok(name)
    }

    pub(super) fn get(&self, name: &str) -> Option<T> {
        let entries = self.entries();
        entries.iter().find(|entry| entry.name == name).map(|entry| entry.value.clone())
    }

    /// Removes the value, so that nobody else can have it.
    pub(super) fn take(&self, name: &str) -> Option<T> {
        let mut entries = self.entries();
        let position = entries.iter().position(|entry| entry.name == name)?;
        let entry = entries.remove(position)?;
        self.lifetime.is_none_or(|lifetime| entry.kept_at.elapsed() < lifetime).then_some(entry.value)
    }

    /// Lets the value stay while there are others to make room.
    pub(super) fn protect(&self, name: &str) {
        if let Some(entry) = self.entries().iter_mut().find(|entry| entry.name == name) {
            entry.is_protected = true;
        }
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<Entry<T>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The operating system gives no random bytes.
#[derive(Debug)]
pub(super) struct NoRandomness;

/// A text of 256 random bits.
pub(super) fn random_name() -> Result<String, NoRandomness> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[test]
    fn a_value_is_taken_once() {
        let store = Store::new(2, None);
        let name = store.keep("a").unwrap();
        assert_eq!((store.get(&name), store.take(&name), store.take(&name)), (Some("a"), Some("a"), None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_is_taken_within_its_lifetime() {
        let store = Store::new(2, Some(Duration::from_secs(60)));
        let [early, late] = [0, 1].map(|_| store.keep("a").unwrap());
        advance(Duration::from_millis(59_999)).await;
        assert_eq!(store.take(&early), Some("a"));
        advance(Duration::from_millis(1)).await;
        assert_eq!(store.take(&late), None);
    }

    #[test]
    fn the_oldest_value_makes_room() {
        let store = Store::new(2, None);
        let names: Vec<_> = (0..3).map(|value| store.keep(value).unwrap()).collect();
        assert_eq!(names.iter().map(|name| store.get(name)).collect::<Vec<_>>(), [None, Some(1), Some(2)]);
    }

    #[test]
    fn a_protected_value_stays_while_others_can_make_room() {
        let store = Store::new(2, None);
        let of = |names: &[String]| names.iter().map(|name| store.get(name)).collect::<Vec<_>>();
        let protected = store.keep("protected").unwrap();
        store.protect(&protected);
        let mut names = vec![protected];
        names.extend(["a", "b"].map(|value| store.keep(value).unwrap()));
        assert_eq!(of(&names), [Some("protected"), None, Some("b")]);
        // The store stays bounded: of protected values alone, the oldest goes.
        names.iter().for_each(|name| store.protect(name));
        names.push(store.keep("c").unwrap());
        assert_eq!(of(&names), [None, None, Some("b"), Some("c")]);
    }
}
