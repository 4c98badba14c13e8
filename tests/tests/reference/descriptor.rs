//! The descriptor set with its comments, as the pages need it.

use std::collections::{BTreeSet, HashMap};

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};

use crate::page::anchor;

// Numbers of fields in `google/protobuf/descriptor.proto`, from which the paths of comments are made.
const FILE_MESSAGES: i32 = 4;
const FILE_ENUMS: i32 = 5;
const FILE_SERVICES: i32 = 6;
const SERVICE_METHODS: i32 = 2;
const MESSAGE_FIELDS: i32 = 2;
const MESSAGE_NESTED: i32 = 3;
const MESSAGE_ENUMS: i32 = 4;
const ENUM_VALUES: i32 = 2;

pub(crate) struct Protocol {
    pub(crate) services: Vec<Service>,
    pub(crate) messages: Vec<Message>,
    pub(crate) enums: Vec<Enum>,
    /// Short names that stand for one type only.
    unique: BTreeSet<String>,
}

pub(crate) struct Service {
    pub(crate) package: String,
    pub(crate) name: String,
    pub(crate) comment: String,
    pub(crate) methods: Vec<Method>,
}

pub(crate) struct Method {
    pub(crate) name: String,
    pub(crate) comment: String,
    pub(crate) input: String,
    pub(crate) output: String,
    pub(crate) client_streaming: bool,
    pub(crate) server_streaming: bool,
}

pub(crate) struct Message {
    pub(crate) package: String,
    /// Full, like `.viberchat.message.v1.Message`.
    pub(crate) full_name: String,
    pub(crate) comment: String,
    pub(crate) fields: Vec<Field>,
}

pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) json_name: String,
    /// Full name of a message or enum, else empty.
    pub(crate) type_name: String,
    kind: Type,
    is_list: bool,
    pub(crate) one_of: Option<String>,
    is_optional: bool,
    pub(crate) comment: String,
}

pub(crate) struct Enum {
    pub(crate) package: String,
    pub(crate) full_name: String,
    pub(crate) comment: String,
    pub(crate) values: Vec<(String, String)>,
}

/// Comments of a file, by path.
type Comments = HashMap<Vec<i32>, String>;

impl Protocol {
    pub(crate) fn read(encoded: &[u8]) -> Self {
        let set = FileDescriptorSet::decode(encoded).expect("the build made it");
        let mut protocol = Self { services: vec![], messages: vec![], enums: vec![], unique: BTreeSet::new() };
        for file in set.file.iter().filter(|file| file.package().starts_with("viberchat.")) {
            protocol.add_file(file);
        }
        let mut seen = BTreeSet::new();
        let names = protocol.messages.iter().map(|message| &message.full_name);
        for name in names.chain(protocol.enums.iter().map(|each| &each.full_name)) {
            let short = short(name).to_owned();
            if !seen.insert(short.clone()) {
                protocol.unique.remove(&short);
            } else {
                protocol.unique.insert(short);
            }
        }
        protocol
    }

    /// Paths of all methods, with the method.
    pub(crate) fn methods(&self) -> impl Iterator<Item = (String, &Method)> {
        self.services.iter().flat_map(|service| service.methods.iter().map(|method| (service.path(method), method)))
    }

    pub(crate) fn message(&self, full_name: &str) -> Option<&Message> {
        self.messages.iter().find(|message| message.full_name == full_name)
    }

    /// What a type is called: its short name where that says which.
    pub(crate) fn heading(&self, full_name: &str) -> String {
        let name = short(full_name);
        if self.unique.contains(name) {
            name.to_owned()
        } else {
            full_name.trim_start_matches(".viberchat.").to_owned()
        }
    }

    /// A link to a type on the page of the RPCs; `page` is empty there.
    pub(crate) fn link(&self, full_name: &str, page: &str) -> String {
        match full_name.strip_prefix(".google.protobuf.") {
            Some(name) => name.to_owned(),
            None => {
                let heading = self.heading(full_name);
                format!("[{heading}]({page}#{})", anchor(&heading))
            }
        }
    }

    pub(crate) fn type_of(&self, field: &Field, page: &str) -> String {
        let name = match field.type_name.as_str() {
            "" => scalar(field.kind).to_owned(),
            name if name.ends_with("Entry") && self.message(name).is_none() => "map of text to text".to_owned(),
            name => self.link(name, page),
        };
        match (field.is_list, field.is_optional) {
            (true, _) if name.starts_with("map") => name,
            (true, _) => format!("list of {name}"),
            (false, true) => format!("{name}, optional"),
            (false, false) => name,
        }
    }

    fn add_file(&mut self, file: &FileDescriptorProto) {
        let comments = comments(file);
        let at = |path: &[i32]| comments.get(path).cloned().unwrap_or_default();
        for (index, service) in (0..).zip(&file.service) {
            let methods = (0..).zip(&service.method).map(|(number, method)| Method {
                name: method.name().to_owned(),
                comment: at(&[FILE_SERVICES, index, SERVICE_METHODS, number]),
                input: method.input_type().to_owned(),
                output: method.output_type().to_owned(),
                client_streaming: method.client_streaming(),
                server_streaming: method.server_streaming(),
            });
            self.services.push(Service {
                package: file.package().to_owned(),
                name: service.name().to_owned(),
                comment: at(&[FILE_SERVICES, index]),
                methods: methods.collect(),
            });
        }
        for (index, message) in (0..).zip(&file.message_type) {
            self.add_message(
                file.package(),
                &format!(".{}", file.package()),
                message,
                &[FILE_MESSAGES, index],
                &comments,
            );
        }
        for (index, each) in (0..).zip(&file.enum_type) {
            self.add_enum(file.package(), &format!(".{}", file.package()), each, &[FILE_ENUMS, index], &comments);
        }
    }

    fn add_message(
        &mut self,
        package: &str,
        scope: &str,
        message: &DescriptorProto,
        path: &[i32],
        comments: &Comments,
    ) {
        if message.options.as_ref().is_some_and(|options| options.map_entry()) {
            return;
        }
        let full_name = format!("{scope}.{}", message.name());
        let below = |kind: i32, index: i32| [path, &[kind, index]].concat();
        let fields = (0..).zip(&message.field).map(|(index, field)| {
            let comment = comments.get(&below(MESSAGE_FIELDS, index)).cloned().unwrap_or_default();
            Field::read(field, message, comment)
        });
        self.messages.push(Message {
            package: package.to_owned(),
            full_name: full_name.clone(),
            comment: comments.get(path).cloned().unwrap_or_default(),
            fields: fields.collect(),
        });
        for (index, nested) in (0..).zip(&message.nested_type) {
            self.add_message(package, &full_name, nested, &below(MESSAGE_NESTED, index), comments);
        }
        for (index, each) in (0..).zip(&message.enum_type) {
            self.add_enum(package, &full_name, each, &below(MESSAGE_ENUMS, index), comments);
        }
    }

    fn add_enum(&mut self, package: &str, scope: &str, each: &EnumDescriptorProto, path: &[i32], comments: &Comments) {
        let values = (0..).zip(&each.value).map(|(index, value)| {
            let comment = comments.get(&[path, &[ENUM_VALUES, index]].concat()).cloned().unwrap_or_default();
            (value.name().to_owned(), comment)
        });
        self.enums.push(Enum {
            package: package.to_owned(),
            full_name: format!("{scope}.{}", each.name()),
            comment: comments.get(path).cloned().unwrap_or_default(),
            values: values.collect(),
        });
    }
}

impl Service {
    pub(crate) fn path(&self, method: &Method) -> String {
        format!("/{}.{}/{}", self.package, self.name, method.name)
    }
}

impl Field {
    fn read(field: &FieldDescriptorProto, message: &DescriptorProto, comment: String) -> Self {
        let is_optional = field.proto3_optional();
        let one_of = field.oneof_index.filter(|_| !is_optional);
        Self {
            name: field.name().to_owned(),
            json_name: field.json_name().to_owned(),
            type_name: field.type_name().to_owned(),
            kind: field.r#type(),
            is_list: field.label() == Label::Repeated,
            one_of: one_of.map(|index| message.oneof_decl[index as usize].name().to_owned()),
            is_optional,
            comment,
        }
    }
}

/// The last part of a full name.
pub(crate) fn short(full_name: &str) -> &str {
    full_name.rsplit('.').next().unwrap_or(full_name)
}

fn comments(file: &FileDescriptorProto) -> Comments {
    let locations = file.source_code_info.iter().flat_map(|info| &info.location);
    let comment =
        |text: &str| text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    locations.map(|location| (location.path.clone(), comment(location.leading_comments()))).collect()
}

fn scalar(kind: Type) -> &'static str {
    match kind {
        Type::Double | Type::Float => "number",
        Type::Int64 | Type::Sint64 | Type::Sfixed64 => "int64",
        Type::Uint64 | Type::Fixed64 => "uint64",
        Type::Int32 | Type::Sint32 | Type::Sfixed32 => "int32",
        Type::Uint32 | Type::Fixed32 => "uint32",
        Type::Bool => "bool",
        Type::String => "text",
        Type::Bytes => "bytes",
        Type::Group | Type::Message | Type::Enum => "",
    }
}
