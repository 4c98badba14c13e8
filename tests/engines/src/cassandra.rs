mod cluster;

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub use self::cluster::CassandraCluster;
use crate::server::Started;
use crate::supervised::{Folder, accepts, find_program, free_port};

/// A start takes seconds where nothing else runs, and a minute on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(240);

/// What Cassandra's scripts let Java 17 open: packages of `java.base`, then whole names.
const OPENED: &[&str] = &[
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.math",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.misc",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "jdk.management/com.sun.management.internal",
    "java.management/sun.management",
];
const EXPORTED: &[&str] = &[
    "java.base/jdk.internal.misc",
    "java.base/jdk.internal.perf",
    "java.base/jdk.internal.ref",
    "java.base/sun.nio.ch",
    "java.base/java.lang.ref",
    "java.base/java.util",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.rmi/sun.rmi.transport",
    "java.rmi/sun.rmi.transport.tcp",
    "java.sql/java.sql",
    "java.logging/java.util.logging",
];

const LOGBACK: &str = r#"<configuration>
  <appender name="STDOUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%level %logger{0} %msg%n</pattern></encoder>
  </appender>
  <!-- Says which other nodes it sees. -->
  <logger name="org.apache.cassandra.gms.Gossiper" level="INFO"/>
  <root level="WARN"><appender-ref ref="STDOUT"/></root>
</configuration>
"#;

/// Of an authority that exists in tests only, and a node's for 127.0.0.1 with its key.
const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../services/kit/src/tls/test_keys");

/// Who vouches for the nodes over TLS.
pub(crate) fn ca_file() -> PathBuf {
    Path::new(CERTIFICATES).join("ca.pem")
}

/// Where a node listens, and whom it asks for the others.
struct Node {
    host: Ipv4Addr,
    /// The same on all nodes: the driver asks each where it asked the first.
    native: u16,
    storage: u16,
    /// Its place in the ring.
    token: Option<i64>,
    seeds: Vec<Ipv4Addr>,
    /// Lives too short for compiling well to pay.
    is_brief: bool,
}

/// One node, with the data center `datacenter1`. It speaks TLS to whoever begins with it.
pub(crate) fn start() -> anyhow::Result<Option<Started>> {
    let Some(installed) = Installed::find() else { return Ok(None) };
    let host = Ipv4Addr::LOCALHOST;
    let (native, storage) = (free_port()?, free_port()?);
    let node = Node { host, native, storage, token: None, seeds: vec![host], is_brief: false };
    let folder = Folder::new("cassandra", None)?;
    let command = node.command(&installed, folder.path())?;
    let process = folder.supervise(&command, "KILL", PATIENCE, || accepts(host, native))?;
    let version = format!("Cassandra {}", installed.version);
    Ok(Some(Started { address: format!("{host}:{native}"), version, process }))
}

impl Node {
    /// How it is started. The daemon opens the port for CQL last.
    fn command(&self, installed: &Installed, folder: &Path) -> anyhow::Result<Command> {
        let at = folder.display();
        fs::write(folder.join("logback.xml"), LOGBACK)?;
        fs::write(folder.join("keystore.pem"), keystore()?)?;
        fs::write(folder.join("cassandra.yaml"), self.settings(&at.to_string()))?;
        let mut command = Command::new(&installed.java);
        command.args(["-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", "-da"]);
        command.args(self.is_brief.then_some("-XX:TieredStopAtLevel=1"));
        command.args(OPENED.iter().map(|package| format!("--add-opens={package}=ALL-UNNAMED")));
        command.args(EXPORTED.iter().map(|package| format!("--add-exports={package}=ALL-UNNAMED")));
        for property in [
            format!("cassandra.config=file://{at}/cassandra.yaml"),
            format!("cassandra.storagedir={at}"),
            format!("java.io.tmpdir={at}"),
            "cassandra-foreground=yes".to_owned(),
            // Nodes that begin together have no data to wait for.
            "cassandra.skip_wait_for_gossip_to_settle=0".to_owned(),
            "cassandra.ring_delay_ms=0".to_owned(),
            "java.security.manager=allow".to_owned(),
            "jdk.attach.allowAttachSelf=true".to_owned(),
        ] {
            command.arg(format!("-D{property}"));
        }
        command.arg("-cp").arg(format!("{at}:{}/*", installed.jars.display()));
        command.arg("org.apache.cassandra.service.CassandraDaemon");
        Ok(command)
    }

    fn settings(&self, at: &str) -> String {
        let Self { host, native, storage, token, seeds, .. } = self;
        let token = token.map_or_else(String::new, |token| format!("initial_token: {token}\n"));
        let seeds = seeds.iter().map(|seed| format!("{seed}:{storage}")).collect::<Vec<_>>().join(",");
        format!(
            r"cluster_name: viberchat-test
num_tokens: 1
{token}auto_bootstrap: false
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
listen_address: {host}
rpc_address: {host}
native_transport_port: {native}
storage_port: {storage}
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [{{seeds: '{seeds}'}}]
commitlog_sync: periodic
commitlog_sync_period: 10000ms
commitlog_total_space: 256MiB
commitlog_segment_size: 16MiB
memtable_heap_space: 128MiB
memtable_offheap_space: 128MiB
file_cache_size: 32MiB
key_cache_size: 8MiB
client_encryption_options:
  enabled: true
  optional: true
  keystore: {at}/keystore.pem
  ssl_context_factory:
    class_name: org.apache.cassandra.security.PEMBasedSslContextFactory
paxos_variant: v2
storage_compatibility_mode: NONE
cdc_enabled: false
data_file_directories: [{at}/data]
commitlog_directory: {at}/commitlog
saved_caches_directory: {at}/saved_caches
hints_directory: {at}/hints
cdc_raw_directory: {at}/cdc_raw
concurrent_writes: 16
concurrent_reads: 16
batch_size_warn_threshold: 1MiB
batch_size_fail_threshold: 4MiB
"
        )
    }
}

/// What `make engines` brought.
struct Installed {
    jars: PathBuf,
    java: PathBuf,
    version: String,
}

impl Installed {
    fn find() -> Option<Self> {
        let jars = Path::new(env!("CARGO_MANIFEST_DIR")).join("cassandra/lib");
        Some(Self { version: version(&jars)?, java: java()?, jars })
    }
}

/// The key, then the certificate.
fn keystore() -> std::io::Result<String> {
    let read = |name| fs::read_to_string(Path::new(CERTIFICATES).join(name));
    Ok(read("server_key.pem")? + &read("server.pem")?)
}

/// Which version's jars are there.
fn version(jars: &Path) -> Option<String> {
    let names = fs::read_dir(jars).ok()?.flatten().filter_map(|jar| jar.file_name().into_string().ok());
    let mut versions =
        names.filter_map(|name| Some(name.strip_prefix("cassandra-all-")?.strip_suffix(".jar")?.to_owned()));
    versions.next()
}

/// Debian keeps each version of Java in a folder; the one on the path may be another.
fn java() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib/jvm").ok().into_iter().flatten().flatten().map(|entry| entry.path());
    let wanted = folders.filter(|folder| folder.to_string_lossy().contains("17")).map(|folder| folder.join("bin"));
    let brewed = ["/opt/homebrew/opt/openjdk@17/bin", "/usr/local/opt/openjdk@17/bin"].map(PathBuf::from);
    find_program("java", wanted.chain(brewed))
}
