//! Any method by its path, with messages as bytes; and plausible messages for any request type, made from the descriptors.

use bytes::{Buf as _, BufMut as _, Bytes};
use http::uri::PathAndQuery;
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint},
};
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};

/// A method of our services.
#[derive(Clone, Debug)]
pub(crate) struct Walked {
    /// `/package.Service/Method`.
    pub(crate) path: String,
    /// Its requests come as a stream.
    pub(crate) streaming: bool,
    /// The request's message.
    pub(crate) input: DescriptorProto,
}

/// All methods of all services in the descriptor set.
pub(crate) fn methods() -> Vec<Walked> {
    let set = FileDescriptorSet::decode(viberchat_proto::FILE_DESCRIPTOR_SET).unwrap();
    let messages: Vec<(String, &DescriptorProto)> = set
        .file
        .iter()
        .flat_map(|file| {
            file.message_type.iter().map(move |message| (format!(".{}.{}", file.package(), message.name()), message))
        })
        .collect();
    let mut found = Vec::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let input =
                    messages.iter().find(|(name, _)| name == method.input_type()).expect("the type is in the set");
                found.push(Walked {
                    path: format!("/{}.{}/{}", file.package(), service.name(), method.name()),
                    streaming: method.client_streaming(),
                    input: input.1.clone(),
                });
            }
        }
    }
    found
}

/// A message that passes for a good one, about a conversation. Fields that are messages are left out.
pub(crate) fn plausible(message: &DescriptorProto, conversation: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in message.field.iter().filter(|field| field.oneof_index.is_none() || field.proto3_optional()) {
        let tag = u32::try_from(field.number()).unwrap();
        match field.r#type() {
            Type::String => {
                let value = text_for(field, conversation);
                encode_key(tag, WireType::LengthDelimited, &mut bytes);
                encode_varint(value.len() as u64, &mut bytes);
                bytes.put_slice(value.as_bytes());
            }
            Type::Enum | Type::Uint64 | Type::Uint32 | Type::Int32 | Type::Int64 | Type::Bool => {
                encode_key(tag, WireType::Varint, &mut bytes);
                encode_varint(1, &mut bytes);
            }
            _ => {}
        }
    }
    bytes
}

fn text_for(field: &FieldDescriptorProto, conversation: &str) -> String {
    match field.name() {
        "conversation_id" | "conversation_ids" => conversation.to_owned(),
        // A well-formed id that no message has.
        "message_id" => "01890000-0000-8000-8000-000000000000".to_owned(),
        "page_token" | "etag" | "avatar_url" | "reply_to_message_id" => String::new(),
        "user_id" | "user_ids" | "peer_user_id" | "member_user_ids" | "other_user_ids" | "mentioned_user_ids" => {
            "somebody".to_owned()
        }
        name => {
            assert!(field.label() != Label::Repeated, "how is {name} filled?");
            "x".to_owned()
        }
    }
}

/// Who calls: the token, and for whom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    pub(crate) token: Option<String>,
    pub(crate) on_behalf_of: Option<&'static str>,
}

/// Calls a method with one message, as a stream if it takes one, and waits for the status or the first answer.
pub(crate) async fn call(
    channel: &Channel,
    method: &Walked,
    identity: &Identity,
    body: Vec<u8>,
) -> Result<Bytes, Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::internal(error.to_string()))?;
    let path = PathAndQuery::try_from(method.path.clone()).unwrap();
    if !method.streaming {
        return client.unary(with(identity, Bytes::from(body)), path, Raw).await.map(tonic::Response::into_inner);
    }
    let requests = tokio_stream::once(Bytes::from(body));
    let mut answers = client.streaming(with(identity, requests), path, Raw).await?.into_inner();
    Ok(answers.message().await?.unwrap_or_default())
}

fn with<T>(identity: &Identity, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = &identity.token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    if let Some(user) = identity.on_behalf_of {
        request.metadata_mut().insert(viberchat_kit::auth::ON_BEHALF_OF, user.parse().unwrap());
    }
    request
}

/// Messages as bytes.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
