//! Compiles the protobuf files without `protoc`: protox reads them, tonic makes the stubs, pbjson the JSON mapping.

use std::{env, fs, path::PathBuf};

use prost::Message as _;

const FILES: &[&str] = &[
    "viberchat/types/v1/context.proto",
    "viberchat/types/v1/error.proto",
    "viberchat/types/v1/membership.proto",
    "viberchat/conversation/v1/conversation_service.proto",
    "viberchat/conversation/v1/user_directory_service.proto",
    "viberchat/message/v1/message_service.proto",
    "viberchat/message/v1/hints.proto",
    "viberchat/presence/v1/presence_service.proto",
    "viberchat/presence/v1/hints.proto",
    "viberchat/gateway/v1/frames.proto",
    "viberchat/gateway/v1/gateway_admin_service.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=viberchat");
    let descriptors = protox::compile(FILES, ["."])?;
    let bytes = descriptors.encode_to_vec();
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("descriptors.bin"), &bytes)?;
    tonic_prost_build::configure()
        .compile_well_known_types(true)
        // Stored bodies and fingerprints have one encoding each.
        .btree_map(".viberchat.types.v1.Metadata")
        .extern_path(".google.protobuf", "::pbjson_types")
        .compile_fds(descriptors)?;
    pbjson_build::Builder::new()
        .register_descriptors(&bytes)?
        .ignore_unknown_fields()
        .btree_map([".viberchat.types.v1.Metadata"])
        .build(&[".viberchat"])?;
    Ok(())
}
