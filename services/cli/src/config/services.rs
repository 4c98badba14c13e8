//! Where the other services are.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use viberchat_kit::rpc::Target;

use crate::role::{Role, Service};

/// Where the services are that a process calls and does not run itself, and who it is to them. The same for all processes
/// of a deployment: each takes what it needs. `serve all` needs none of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Services {
    /// The internal gRPC of the conversation service: `http://host:port`, several with commas between them. A name stands
    /// for all its addresses and is looked up again and again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<Target>,
    /// The same of the message service, which is one instance unless there is a `bus`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Target>,
    /// The same of the presence service, which is one instance unless there is a `bus`. Gateways speak to each instance: there
    /// has to be an address for every one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence: Option<Target>,
    /// File with the service token that this process shows to the others, read again and again. Without one, it signs its
    /// own with `keys.tokens`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
}

impl Services {
    /// Where a service is, if that was said.
    pub(crate) fn target(&self, service: Service) -> Option<&Target> {
        match service {
            Service::Conversation => self.conversation.as_ref(),
            Service::Message => self.message.as_ref(),
            Service::Presence => self.presence.as_ref(),
            // Nobody calls it.
            Service::Gateway => None,
        }
    }

    /// What is wrong, as `services.key: problem`.
    pub(super) fn findings(&self, has_bus: bool) -> Vec<String> {
        let is_several = |target: &Option<Target>| target.as_ref().is_some_and(|target| target.places() > 1);
        let mut findings = Vec::new();
        for (name, target) in [("message", &self.message), ("presence", &self.presence)] {
            if is_several(target) && !has_bus {
                findings.push(format!("services.{name}: names several places, which need bus.url"));
            }
        }
        findings
    }

    /// What `role` cannot do without, as `services.key: problem`.
    pub(super) fn missing(&self, role: Role) -> Vec<String> {
        let missing = role.needs().filter(|service| self.target(*service).is_none());
        missing.map(|service| format!("services.{}: is missing, as in \"http://host:8081\"", service.name())).collect()
    }
}
