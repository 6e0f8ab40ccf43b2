//! What the agents of builds cost, and a month of whole teams with them.

use crate::cost::bill::{BUILDS, Bills, GB, Line, Notify, total};
use crate::cost::input::Team;
use crate::cost::inventory::Choice;

/// The sizes of agents, and the assumption of how large a share of builds each has.
const SIZES: [(&str, &str); 3] = [("small", "share-small"), ("medium", "share-medium"), ("large", "share-large")];

/// A month of a team.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TeamMonth<'a> {
    pub(super) team: &'a Team,
    pub(super) builds: f64,
    /// The suite, at rest and for its builds.
    pub(super) suite: Vec<Line>,
    /// The agents.
    pub(super) agents: Vec<Line>,
}

impl Bills<'_> {
    /// The agents of so many builds, in the network of a choice.
    pub(super) fn agents(&self, choice: &Choice, builds: f64) -> anyhow::Result<Vec<Line>> {
        let assumed = |name: &str| self.prices.assumed(name);
        let on_codebuild = builds * assumed("share-codebuild")?;
        let on_fargate = builds - on_codebuild;
        let hours = on_fargate * (assumed("build-minutes")? + assumed("start-minutes")?) / 60.0;
        let on_demand = hours * assumed("share-on-demand")?;
        let (mut vcpu, mut gb, mut disk) = (0.0, 0.0, 0.0);
        for (name, share) in SIZES {
            let size = self.inventory.agent(name)?;
            vcpu += assumed(share)? * size.vcpu;
            gb += assumed(share)? * size.gb;
            disk += assumed(share)? * size.billed_disk_gb;
        }
        let resources = self.inventory.resources(choice);
        let within = |resource: &str, amount: f64| if resources.contains_key(resource) { amount } else { 0.0 };
        let log_gb = builds * assumed("agent-log-kb")? * 1024.0 / GB;
        let spot = hours - on_demand;
        let addresses = if choice.public_addresses { hours } else { 0.0 };
        let requests = if choice.keys.images {
            on_fargate * assumed("kms-requests-a-pull")?
        } else {
            0.0
        };
        let all = [
            ("agents on Fargate Spot: vCPU", spot * vcpu, "fargate-spot-vcpu-hour-arm64"),
            ("agents on Fargate Spot: memory", spot * gb, "fargate-spot-gb-hour-arm64"),
            ("agents on Fargate: vCPU", on_demand * vcpu, "fargate-vcpu-hour-arm64"),
            ("agents on Fargate: memory", on_demand * gb, "fargate-gb-hour-arm64"),
            ("disks of agents", hours * disk, "fargate-disk-gb-hour"),
            // CodeBuild rounds up to minutes.
            (
                "agents on CodeBuild",
                on_codebuild * assumed("build-minutes")?.ceil(),
                "codebuild-small-minute-arm64",
            ),
            ("public addresses of agents", addresses, "public-ipv4-hour"),
            (
                "data through the NAT gateway",
                within("AWS::EC2::NatGateway", on_fargate * assumed("download-gb")?),
                "nat-gb",
            ),
            (
                "data through interface endpoints",
                within("AWS::EC2::VPCEndpoint Interface", on_fargate * assumed("endpoint-gb")?),
                "endpoint-gb",
            ),
            (
                "refused connections recorded",
                within("AWS::EC2::FlowLog", addresses * assumed("refused-kb-an-hour")? * 1024.0 / GB),
                "logs-ingestion",
            ),
            ("the images' key", requests, "kms-request"),
            ("logs of agents", log_gb, "logs-ingestion"),
            ("logs of agents kept", log_gb * assumed("log-months")?, "logs-storage"),
        ];
        all.into_iter()
            .filter(|(_, amount, _)| *amount > 0.0)
            .map(|(what, amount, price)| self.line(what, amount, price))
            .collect()
    }

    /// A month of each team, by default.
    pub(super) fn teams(&self) -> anyhow::Result<Vec<TeamMonth<'_>>> {
        self.prices.teams.iter().map(|team| self.team(team)).collect()
    }

    fn team<'t>(&self, team: &'t Team) -> anyhow::Result<TeamMonth<'t>> {
        let builds = f64::from(team.developers) * self.prices.assumed("builds-a-day")? * self.prices.assumed("days")?;
        let default = self.default()?;
        let mut suite = self.rest(default)?;
        suite.push(self.metrics()?);
        for line in self.builds(default.keys, Notify::Changes, self.prices.assumed("cold-share")?)? {
            suite.push(self.line(format!("builds: {}", line.what), line.amount * builds / BUILDS, &line.price)?);
        }
        Ok(TeamMonth {
            team,
            builds,
            suite,
            agents: self.agents(default, builds)?,
        })
    }

    /// What a choice costs more than the one that it adds to, in US dollars: a month at rest, and for [`BUILDS`] builds with their agents.
    pub(super) fn more(&self, choice: &Choice, beside: &Choice) -> anyhow::Result<(f64, f64)> {
        let cold = self.prices.assumed("cold-share")?;
        let of_builds = |choice: &Choice| -> anyhow::Result<f64> {
            Ok(total(&self.builds(choice.keys, Notify::Changes, cold)?) + total(&self.agents(choice, BUILDS)?))
        };
        let at_rest = total(&self.rest(choice)?) - total(&self.rest(beside)?);
        Ok((at_rest, of_builds(choice)? - of_builds(beside)?))
    }
}
