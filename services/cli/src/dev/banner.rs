//! What `viberchat dev` prints once it is up: everything in it works when pasted.

use std::path::Path;

use crate::serve::Addresses;

const BOX_WIDTH: usize = 72;

pub(super) fn print(addresses: &Addresses, token: &str, service_token: &str, data_dir: &Path, temporary: bool) {
    let Addresses { http, grpc, admin } = addresses;
    let http = http.as_deref().expect("the gateway runs here, and has bound its door");
    let rule = "─".repeat(BOX_WIDTH);
    println!("┌{rule}┐");
    for line in ["ViberChat for development. Not for production:", "everybody on this machine can be anybody here."] {
        println!("│ {line:<width$} │", width = BOX_WIDTH - 2);
    }
    println!("└{rule}┘");
    println!("Open two windows and talk:");
    for user in ["alice", "bob"] {
        println!("  http://{http}/?as={user}");
    }
    let kept = if temporary { "removed at the end; keep them with --data-dir" } else { "kept" };
    println!("\nStores: {} ({kept})", data_dir.display());
    println!("Metrics: http://{admin}/metrics   gRPC with reflection: {grpc}");
    println!("\nA token of alice:\n  {token}");
    println!("\nHer conversations by HTTP:");
    println!(
        "  curl -s -H 'authorization: Bearer {token}' -H 'content-type: application/json' -d '{{}}' \\\n    \
         http://{http}/viberchat.conversation.v1.ConversationService/ListConversations"
    );
    println!("\nThe same by gRPC, as a backend that acts for her:");
    println!(
        "  grpcurl -plaintext -H 'authorization: Bearer {service_token}' -H 'viberchat-on-behalf-of: alice' \\\n    \
         {grpc} viberchat.conversation.v1.ConversationService/ListConversations"
    );
    println!("\nStop with Ctrl-C.");
}
