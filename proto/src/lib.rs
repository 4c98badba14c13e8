//! The generated face of ViberChat: messages, clients and servers of `proto/viberchat`, with the JSON mapping of protobuf.
//!
//! Map: one module per package. [`FILE_DESCRIPTOR_SET`] is what gRPC reflection serves and what the tests walk.
//! Invariant: nothing is written by hand here; what is public stands in the `.proto` files.

/// All files, encoded as a `google.protobuf.FileDescriptorSet`.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

macro_rules! package {
    ($name:ident, $path:literal) => {
        #[doc = concat!("`", $path, "`")]
        pub mod $name {
            /// Version 1.
            pub mod v1 {
                include!(concat!(env!("OUT_DIR"), "/", $path, ".rs"));
                include!(concat!(env!("OUT_DIR"), "/", $path, ".serde.rs"));
            }
        }
    };
}

package!(types, "viberchat.types.v1");
package!(conversation, "viberchat.conversation.v1");
package!(message, "viberchat.message.v1");
package!(presence, "viberchat.presence.v1");
package!(gateway, "viberchat.gateway.v1");
