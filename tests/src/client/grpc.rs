//! gRPC of all services, by a user's own token or by a service that acts for the user.

use bytes::Bytes;
use http::uri::PathAndQuery;
use prost::Message as _;
use tonic::{
    Request,
    client::Grpc,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;
use viberchat_kit::auth::ON_BEHALF_OF;

use super::{CALL_LIMIT, Method, Refusal};
use crate::cluster::Services;

/// The gRPC door of a user.
pub(crate) struct GrpcDoor {
    conversation: Channel,
    message: Channel,
    presence: Channel,
    authorization: MetadataValue<Ascii>,
    /// The user that a service acts for.
    on_behalf_of: Option<MetadataValue<Ascii>>,
}

/// A channel that connects when it is first used, and again when the connection was lost.
///
/// # Errors
/// If the address is none.
pub fn channel(address: &str) -> Result<Channel, tonic::transport::Error> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true).connect_timeout(CALL_LIMIT).connect_lazy())
}

impl GrpcDoor {
    pub(crate) fn new(
        services: &Services,
        token: &str,
        on_behalf_of: Option<&str>,
    ) -> Result<Self, tonic::transport::Error> {
        let authorization = format!("Bearer {token}").parse().expect("tokens are ASCII");
        let on_behalf_of = on_behalf_of.map(|user| user.parse().expect("the users of tests are ASCII"));
        Ok(Self {
            conversation: channel(&services.conversation)?,
            message: channel(&services.message)?,
            presence: channel(&services.presence)?,
            authorization,
            on_behalf_of,
        })
    }

    /// Where the service of a method is.
    fn channel(&self, path: &str) -> Channel {
        let is_of = |area: &str| path.starts_with(&format!("viberchat.{area}."));
        match () {
            () if is_of("message") => self.message.clone(),
            () if is_of("presence") => self.presence.clone(),
            () => self.conversation.clone(),
        }
    }

    /// Calls a method. The answer comes with its bytes.
    pub(crate) async fn call<M: Method>(&self, message: &M::Request) -> Result<(M::Response, Bytes), Refusal> {
        let mut request = Request::new(message.clone());
        request.metadata_mut().insert("authorization", self.authorization.clone());
        if let Some(user) = &self.on_behalf_of {
            request.metadata_mut().insert(ON_BEHALF_OF, user.clone());
        }
        let mut client = Grpc::new(self.channel(M::PATH));
        let called = async {
            client.ready().await.map_err(Refusal::unreachable)?;
            let path = PathAndQuery::try_from(format!("/{}", M::PATH)).map_err(Refusal::unreachable)?;
            let codec = ProstCodec::<M::Request, M::Response>::default();
            client.unary(request, path, codec).await.map_err(|status| Refusal::from(&status))
        };
        let response =
            tokio::time::timeout(CALL_LIMIT, called).await.map_err(|_| Refusal::lost("no answer in time"))??;
        let response = response.into_inner();
        let bytes = response.encode_to_vec().into();
        Ok((response, bytes))
    }
}
