//! The example's .proto file, its descriptors and its generated code agree.

use prost::Message;
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

const PROTO: &str = include_str!("../../examples/tonic/whoami.proto");
const DESCRIPTORS: &[u8] = include_bytes!("../../examples/tonic/whoami.bin");
const GENERATED: &str = include_str!("../../examples/tonic/whoami.rs");

fn file() -> FileDescriptorProto {
    let mut set = FileDescriptorSet::decode(DESCRIPTORS).expect("descriptors");
    assert_eq!(set.file.len(), 1);
    set.file.remove(0)
}

/// The text without comments, with single spaces between tokens.
fn words(text: &str) -> String {
    let code = text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code));
    let spaced = code.collect::<Vec<_>>().join(" ");
    let spaced =
        ["{", "}", "(", ")", ";", ":", ","].iter().fold(spaced, |text, sign| text.replace(sign, &format!(" {sign} ")));
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The unqualified name of a type of this file.
fn local(file: &FileDescriptorProto, name: &str) -> String {
    name.strip_prefix(&format!(".{}.", file.package())).expect("a type of the same package").to_owned()
}

fn is_repeated(field: &FieldDescriptorProto) -> bool {
    field.label() == Label::Repeated
}

fn proto(file: &FileDescriptorProto) -> String {
    let method = |method: &MethodDescriptorProto| {
        let stream = |is: bool| if is { "stream " } else { "" };
        let (from, to) = (stream(method.client_streaming()), stream(method.server_streaming()));
        let (input, output) = (local(file, method.input_type()), local(file, method.output_type()));
        format!("rpc {}({from}{input}) returns ({to}{output});", method.name())
    };
    let field = |field: &FieldDescriptorProto| {
        let label = match field {
            field if is_repeated(field) => "repeated ",
            field if field.proto3_optional() => "optional ",
            _ => "",
        };
        let kind = match field.r#type() {
            Type::String => "string".to_owned(),
            Type::Uint64 => "uint64".to_owned(),
            Type::Message => local(file, field.type_name()),
            other => panic!("{other:?} is new here"),
        };
        format!("{label}{kind} {} = {};", field.name(), field.number())
    };
    let mut text = format!("syntax = \"{}\"; package {};", file.syntax(), file.package());
    for service in &file.service {
        let methods: String = service.method.iter().map(method).collect();
        text.push_str(&format!("service {} {{ {methods} }}", service.name()));
    }
    for message in &file.message_type {
        let fields: String = message.field.iter().map(field).collect();
        text.push_str(&format!("message {} {{ {fields} }}", message.name()));
    }
    text
}

/// The struct that prost generates for a message.
fn rust(file: &FileDescriptorProto, message: &DescriptorProto) -> String {
    let field = |field: &FieldDescriptorProto| {
        let (kind, mut of) = match field.r#type() {
            Type::String => ("string", "::prost::alloc::string::String".to_owned()),
            Type::Uint64 => ("uint64", "u64".to_owned()),
            Type::Message => ("message", local(file, field.type_name())),
            other => panic!("{other:?} is new here"),
        };
        let label = if is_repeated(field) {
            of = format!("::prost::alloc::vec::Vec<{of}>");
            ", repeated"
        } else if field.proto3_optional() || kind == "message" {
            of = format!("::core::option::Option<{of}>");
            ", optional"
        } else {
            ""
        };
        format!("#[prost({kind}{label}, tag = \"{}\")] pub {}: {of},", field.number(), field.name())
    };
    let fields: String = message.field.iter().map(field).collect();
    format!("pub struct {} {{ {fields} }}", message.name())
}

/// The calls of the generated client.
fn generated_calls() -> Vec<(String, String)> {
    let calls = GENERATED.split("GrpcMethod::new(").skip(1).map(|rest| {
        let path = rest.split('"').skip(1).step_by(2).take(2).collect::<Vec<_>>().join("/");
        let kind = rest.split_once("self.inner.").and_then(|(_, call)| call.split_once('(')).expect("a call").0;
        (path, kind.to_owned())
    });
    calls.collect()
}

#[test]
fn the_descriptors_match_the_proto_file() {
    assert_eq!(words(&proto(&file())), words(PROTO));
}

#[test]
fn the_generated_code_matches_the_descriptors() {
    let (file, generated) = (file(), words(GENERATED));
    assert_eq!(GENERATED.matches("::prost::Message)]").count(), file.message_type.len());
    for message in &file.message_type {
        let expected = words(&rust(&file, message));
        assert!(generated.contains(&expected), "{expected}");
    }
    let services = file.service.iter();
    let methods = services.flat_map(|service| service.method.iter().map(move |method| (service, method)));
    let calls = methods.map(|(service, method)| {
        let kind = match (method.client_streaming(), method.server_streaming()) {
            (false, false) => "unary",
            (false, true) => "server_streaming",
            (true, false) => "client_streaming",
            (true, true) => "streaming",
        };
        (format!("{}.{}/{}", file.package(), service.name(), method.name()), kind.to_owned())
    });
    let calls: Vec<_> = calls.collect();
    assert_eq!(generated_calls(), calls);
    for (path, _) in calls {
        // Once in the client and once in the server.
        assert_eq!(GENERATED.matches(&format!("\"/{path}\"")).count(), 2, "{path}");
    }
}
