//! Every frame of the client protocol with its answer.

use crate::descriptor::{Field, Message, Protocol};
use crate::page;

const RPCS: &str = "rpcs.md";
const ABOUT: &str = "What goes over the WebSocket `GET /v1/connect`, as protobuf's canonical JSON (`viberchat.v1.json`) or \
binary (`viberchat.v1.proto`). How a session goes: [protocol.md](../protocol.md). Every client frame has an `id`; one \
reply or error carries it back. Names are those of the JSON.";

pub(crate) fn page(protocol: &Protocol) -> String {
    let message = |name: &str| {
        protocol
            .message(&format!(".viberchat.gateway.v1.{name}"))
            .unwrap_or_else(|| panic!("there is no message {name}"))
    };
    let (asked, answers, pushes) = (message("ClientFrame"), message("Reply"), message("Push"));
    let mut text = page::begin("Frames", ABOUT);
    text.push_str("\n## From the client\n");
    let rows = asked.fields.iter().filter(|field| field.one_of.is_some()).map(|field| {
        let call = protocol.methods().find(|(_, method)| method.input == field.type_name);
        let call = call.map_or(String::new(), |(path, _)| format!("`{}`", path.trim_start_matches("/viberchat.")));
        vec![
            format!("`{}`", field.json_name),
            protocol.type_of(field, RPCS),
            answer(protocol, answers, field),
            call,
            field.comment.clone(),
        ]
    });
    text.push_str(&page::table(&["frame", "content", "answer", "the same as", "meaning"], rows));
    text.push_str("\n## From the gateway\n");
    text.push_str(&fields(protocol, message("ServerFrame")));
    text.push_str("\n## Pushes\n");
    text.push_str(&fields(protocol, pushes));
    text
}

fn answer(protocol: &Protocol, answers: &Message, asked: &Field) -> String {
    // A hello is welcomed; every other answer has the name of its question.
    let name = if asked.name == "hello" { "welcome" } else { &asked.name };
    match answers.fields.iter().find(|field| field.name == name) {
        Some(field) => format!("`{}`: {}", field.json_name, protocol.type_of(field, RPCS)),
        None => "an empty reply".to_owned(),
    }
}

fn fields(protocol: &Protocol, message: &Message) -> String {
    let rows = message
        .fields
        .iter()
        .map(|field| vec![format!("`{}`", field.json_name), protocol.type_of(field, RPCS), field.comment.clone()]);
    page::table(&["frame", "content", "meaning"], rows)
}
