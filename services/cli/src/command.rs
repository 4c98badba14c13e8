//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::role::Role;
use crate::{bench, config_command, dev, doctor, migrate, serve, token};

#[derive(Debug, Parser)]
#[command(name = "viberchat", version, about = "A self-hosted chat backend", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything in one process with people to talk to. Not for production.
    Dev(DevArgs),
    /// Run services.
    Serve(ServeArgs),
    /// Make a token of a user or of a service.
    Token(TokenArgs),
    /// Bring stores up to date.
    #[command(subcommand)]
    Migrate(MigrateCommand),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at what the configuration names, and say what to do. Fails if something does not work.
    Doctor(ConfigArgs),
    /// Measure latency, throughput and memory, each beside its floor.
    Bench(bench::Args),
}

/// Where the process listens; each wins over the configuration.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ListenArgs {
    /// Address of the public HTTP and WebSocket door [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) http: Option<String>,
    /// Address of the internal gRPC door [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) grpc: Option<String>,
    /// Address of metrics, probes and the log level [default: 127.0.0.1:8082]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin: Option<String>,
    /// Folder of the embedded stores
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Print the bound addresses as one line of JSON once everything is up
    #[arg(long)]
    pub(crate) print_addresses: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct DevArgs {
    #[command(flatten)]
    pub(crate) listen: ListenArgs,
    /// Take user tokens signed with this HS256 secret, too; the user is the claim `user_id`, else `sub`
    #[arg(long, value_name = "SECRET", env = "VIBERCHAT_DEV_JWT_HS256_SECRET", hide_env_values = true)]
    pub(crate) jwt_hs256_secret: Option<String>,
    /// Start empty: no demo people, no bot
    #[arg(long)]
    pub(crate) no_demo: bool,
}

#[derive(Clone, Debug, Args)]
struct ServeArgs {
    /// What to run in this process
    role: Role,
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    listen: ListenArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct TokenArgs {
    /// The user
    #[arg(long, value_name = "ID", conflicts_with = "service", required_unless_present = "service")]
    pub(crate) user: Option<String>,
    /// The service or backend
    #[arg(long, value_name = "NAME", requires = "scope")]
    pub(crate) service: Option<String>,
    /// What the service may do: act_for_users, authorize, relay, directory, admin
    #[arg(long, value_name = "SCOPE", value_delimiter = ',')]
    pub(crate) scope: Vec<String>,
    /// How long it is good, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600, value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub(crate) ttl_seconds: u64,
    /// Configuration file with keys.tokens
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Data folder of a `viberchat dev --data-dir`, whose keys are used
    #[arg(long, value_name = "FOLDER", conflicts_with = "config")]
    pub(crate) dev_data_dir: Option<PathBuf>,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum MigrateCommand {
    /// Bring the schema of each configured store to that of this release. Safe to repeat, and from several places at once
    Schema(MigrateArgs),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct MigrateArgs {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say whether the configuration is good
    Check(ConfigArgs),
    /// Print the configuration as it results from file, environment and defaults; secrets are left out
    Show(ConfigArgs),
    /// Print every key with its default
    Example,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ConfigArgs {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// Runs the command that the process was called with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Dev(args) => run(dev::run(args)),
        Command::Serve(ServeArgs { role, config, listen }) => run(serve::run(role, config, listen)),
        Command::Token(args) => token::run(&args),
        Command::Migrate(command) => run(migrate::run(command)),
        Command::Config(command) => config_command::run(&command),
        Command::Doctor(args) => run(doctor::run(&args)),
        Command::Bench(args) => bench::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("viberchat: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(command)
}
