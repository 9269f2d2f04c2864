//! How many requests may be held at once, of all tenants and of one.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use strongroom_protocol::Tenant;

use crate::HostError;

/// Places for requests, and who has taken them.
#[derive(Debug)]
pub(crate) struct Places {
    limit: u32,
    tenant_limit: Option<u32>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: u32,
    /// Only of those that hold any.
    tenants: BTreeMap<Tenant, u32>,
}

/// One of the requests that may be held at once, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    tenant: Option<Tenant>,
}

impl Places {
    /// `limit` of them, and of these `tenant_limit` at most for one tenant.
    pub(crate) fn new(limit: u32, tenant_limit: Option<u32>) -> Arc<Self> {
        Arc::new(Self {
            limit,
            tenant_limit,
            taken: Mutex::default(),
        })
    }

    /// A place for a request of `tenant`; one of nobody's counts among all alone.
    ///
    /// # Errors
    /// [`HostError::TenantBusy`], which is the tenant's own doing, before [`HostError::Busy`].
    pub(crate) fn take(self: &Arc<Self>, tenant: Option<Tenant>) -> Result<Place, HostError> {
        let mut taken = self.lock();
        if let (Some(tenant), Some(limit)) = (&tenant, self.tenant_limit)
            && taken.tenants.get(tenant).is_some_and(|&held| held >= limit)
        {
            return Err(HostError::TenantBusy { limit });
        }
        if taken.all >= self.limit {
            return Err(HostError::Busy { limit: self.limit });
        }
        taken.all += 1;
        if let Some(tenant) = &tenant {
            *taken.tenants.entry(*tenant).or_default() += 1;
        }
        drop(taken);
        Ok(Place {
            places: Arc::clone(self),
            tenant,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all -= 1;
        if let Some(tenant) = &self.tenant
            && let Some(held) = taken.tenants.get_mut(tenant)
        {
            *held -= 1;
            if *held == 0 {
                taken.tenants.remove(tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tenant(number: u8) -> Tenant {
        Tenant([number; 32])
    }

    #[test]
    fn a_greedy_tenant_leaves_places_for_the_others() {
        let places = Places::new(3, Some(2));
        let first = places.take(Some(tenant(1))).unwrap();
        let _second = places.take(Some(tenant(1))).unwrap();
        assert_eq!(
            places.take(Some(tenant(1))).unwrap_err(),
            HostError::TenantBusy { limit: 2 }
        );
        let other = places.take(Some(tenant(2))).unwrap();
        assert_eq!(
            places.take(Some(tenant(2))).unwrap_err(),
            HostError::Busy { limit: 3 }
        );
        // Its own bound is what a tenant can do something about.
        assert_eq!(
            places.take(Some(tenant(1))).unwrap_err(),
            HostError::TenantBusy { limit: 2 }
        );
        drop(other);
        drop(first);
        places.take(Some(tenant(1))).unwrap();
    }

    #[test]
    fn nobodys_requests_are_bounded_together_alone() {
        let places = Places::new(2, Some(1));
        let held = [places.take(None).unwrap(), places.take(None).unwrap()];
        assert_eq!(places.take(None).unwrap_err(), HostError::Busy { limit: 2 });
        drop(held);
        places.take(Some(tenant(1))).unwrap();
    }

    #[test]
    fn nothing_is_kept_of_a_tenant_that_holds_nothing() {
        let places = Places::new(2, None);
        let held = [
            places.take(Some(tenant(1))).unwrap(),
            places.take(Some(tenant(1))).unwrap(),
        ];
        assert_eq!(places.lock().tenants.len(), 1);
        drop(held);
        assert!(places.lock().tenants.is_empty());
        assert_eq!(places.lock().all, 0);
    }
}
