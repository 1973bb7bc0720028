//! A value that may be replaced while others follow it, such as a list of networks after a reload.

use std::sync::{Arc, PoisonError, RwLock};

/// All clones share the value.
#[derive(Debug)]
pub struct InForce<T> {
    value: Arc<RwLock<Arc<T>>>,
}

impl<T> InForce<T> {
    pub fn new(value: T) -> Self {
        Self::from(Arc::new(value))
    }

    /// The value as it is now; a caller that holds it keeps it over a replacement.
    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.value.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the value for everyone who asks from now on.
    pub fn replace(&self, value: impl Into<Arc<T>>) {
        *self.value.write().unwrap_or_else(PoisonError::into_inner) = value.into();
    }
}

impl<T> From<Arc<T>> for InForce<T> {
    fn from(value: Arc<T>) -> Self {
        Self { value: Arc::new(RwLock::new(value)) }
    }
}

impl<T: Default> Default for InForce<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Clone for InForce<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_clones_go_by_the_newest() {
        let one = InForce::new(1);
        let other = one.clone();
        let held = other.get();
        one.replace(2);
        assert_eq!((*held, *other.get()), (1, 2));
    }
}
