//! The stories of the demo.

use clap::ValueEnum;

/// A story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Story {
    /// A push that loses its Spot agent half-way, and one that fails
    Push,
    /// Tests on Spot and an image on CodeBuild, for a push and for a CodePipeline action
    Pipeline,
    /// An EC2 instance that is interrupted, with two builds and a foreign task on it
    Spot,
    /// An alarm in three forms that restarts a service, and its flapping
    Alarm,
    /// A backup that fails and recovers, its copy, and a restore test
    Backup,
}

impl Story {
    /// All stories.
    pub const ALL: [Self; 5] = [Self::Push, Self::Pipeline, Self::Spot, Self::Alarm, Self::Backup];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Pipeline => "pipeline",
            Self::Spot => "spot",
            Self::Alarm => "alarm",
            Self::Backup => "backup",
        }
    }
}
