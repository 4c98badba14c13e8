//! Every RPC with its messages.

use viberchat_kit::auth::MethodRule;

use crate::descriptor::{Enum, Message, Method, Protocol};
use crate::page;
use crate::scopes::who;

const ABOUT: &str = "The gRPC services of ViberChat. Backends reach them at the internal door with a service token (scopes: \
[scopes.md](scopes.md)), in any language, from the files in `proto/`; reflection is on. Each method names the reasons of its \
own for a refusal; every call may besides be answered with UNAUTHENTICATED, TOKEN_EXPIRED, PERMISSION_DENIED, \
INVALID_ARGUMENT, DEADLINE_EXCEEDED, STORE_UNAVAILABLE, OUTCOME_UNKNOWN (a write) or INTERNAL ([errors.md](errors.md)).";

pub(crate) fn page(protocol: &Protocol, rules: &[MethodRule]) -> String {
    let mut text = page::begin("RPCs", ABOUT);
    for service in &protocol.services {
        text.push_str(&format!(
            "\n## {}\n\n`{}.{}`. {}\n",
            service.name, service.package, service.name, service.comment
        ));
        for method in &service.methods {
            let path = service.path(method);
            let rule = rules.iter().find(|rule| rule.path == path);
            text.push_str(&format!("\n### {}\n\n{}\n\n", heading(protocol, method), method.comment));
            text.push_str(&format!("- Takes {}, answers {}.\n", taken(protocol, method), answered(protocol, method)));
            text.push_str(&format!("- For {}.\n", rule.map_or("nobody".to_owned(), who)));
        }
    }
    for package in packages(protocol) {
        text.push_str(&format!("\n## Messages of {package}\n"));
        for message in protocol.messages.iter().filter(|message| message.package == package) {
            text.push_str(&described(protocol, message));
        }
        for each in protocol.enums.iter().filter(|each| each.package == package) {
            text.push_str(&enumerated(protocol, each));
        }
    }
    text
}

/// `GetSession` and the like may be the name of a message, too: then the service tells them apart.
fn heading(protocol: &Protocol, method: &Method) -> String {
    let owners = protocol.methods().filter(|(_, other)| other.name == method.name).count();
    if owners == 1 {
        method.name.clone()
    } else {
        format!("{} of {}", method.name, crate::descriptor::short(&method.input))
    }
}

fn packages(protocol: &Protocol) -> Vec<String> {
    let mut packages: Vec<_> = protocol.messages.iter().map(|message| message.package.clone()).collect();
    packages.sort();
    packages.dedup();
    packages
}

fn taken(protocol: &Protocol, method: &Method) -> String {
    let link = protocol.link(&method.input, "");
    if method.client_streaming { format!("a stream of {link}") } else { link }
}

fn answered(protocol: &Protocol, method: &Method) -> String {
    let link = protocol.link(&method.output, "");
    if method.server_streaming { format!("a stream of {link}") } else { link }
}

fn described(protocol: &Protocol, message: &Message) -> String {
    let mut text = format!("\n### {}\n\n{}\n", protocol.heading(&message.full_name), message.comment);
    if !message.fields.is_empty() {
        let rows = message.fields.iter().map(|field| {
            let meaning = match &field.one_of {
                Some(choice) => format!("One of `{choice}`. {}", field.comment),
                None => field.comment.clone(),
            };
            vec![format!("`{}`", field.name), protocol.type_of(field, ""), meaning]
        });
        text.push_str(&page::table(&["field", "type", "meaning"], rows));
    }
    text
}

fn enumerated(protocol: &Protocol, each: &Enum) -> String {
    let rows = each.values.iter().map(|(name, comment)| vec![format!("`{name}`"), comment.clone()]);
    let table = page::table(&["value", "meaning"], rows);
    format!("\n### {}\n\n{}\n{table}", protocol.heading(&each.full_name), each.comment)
}
