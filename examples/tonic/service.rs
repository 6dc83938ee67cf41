use std::{
    pin::Pin,
    time::{Duration, SystemTime},
};

use futures_util::{Stream, stream};
use tonic::{Request, Response, Status};
use tower_clerk::{ClerkAuth, Requirement, claims};

use super::{
    expiry::until_expiry,
    whoami::{
        CreateInvoiceRequest, Invoice, Organization, Tick, User, WatchRequest, WhoAmIRequest, who_am_i_server::WhoAmI,
    },
};

pub(crate) struct WhoAmIService;

#[tonic::async_trait]
impl WhoAmI for WhoAmIService {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<Tick, Status>> + Send>>;

    async fn who_am_i(&self, request: Request<WhoAmIRequest>) -> Result<Response<User>, Status> {
        let user = ClerkAuth::from_tonic(&request)?;
        Ok(Response::new(User::from(user)))
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let user = ClerkAuth::from_tonic(&request)?;
        Ok(Response::new(Box::pin(until_expiry(user, ticks(user.expires_at())))))
    }

    async fn create_invoice(&self, request: Request<CreateInvoiceRequest>) -> Result<Response<Invoice>, Status> {
        let user = ClerkAuth::from_tonic(&request)?;
        user.require(&Requirement::permission("org:invoices:create"))?;
        let created_by = user.user_id().to_owned();
        Ok(Response::new(Invoice { customer: request.into_inner().customer, created_by }))
    }
}

/// An endless stream with one tick per second. The first comes at once.
fn ticks(expires_at: SystemTime) -> impl Stream<Item = Result<Tick, Status>> {
    let interval = tokio::time::interval(Duration::from_secs(1));
    stream::unfold((0, interval), move |(number, mut interval)| async move {
        interval.tick().await;
        let left = expires_at.duration_since(SystemTime::now()).unwrap_or_default();
        Some((Ok(Tick { number, seconds_left: left.as_secs() }), (number + 1, interval)))
    })
}

impl From<&ClerkAuth> for User {
    fn from(user: &ClerkAuth) -> Self {
        Self {
            user_id: user.user_id().to_owned(),
            session_id: user.session_id().map(str::to_owned),
            organization: user.organization().map(Organization::from),
            instance: user.instance().to_owned(),
        }
    }
}

impl From<claims::Organization<'_>> for Organization {
    fn from(organization: claims::Organization<'_>) -> Self {
        Self {
            id: organization.id().to_owned(),
            slug: organization.slug().map(str::to_owned),
            role: organization.role().map(str::to_owned),
            permissions: organization.permissions().map(str::to_owned).collect(),
        }
    }
}
