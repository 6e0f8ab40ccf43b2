//! The parts of the stand-in, for a test that sets one up.

use bellhop_stand_in::{Backup, CloudWatch, CodeBuild, CodePipeline, Ecs, Faults, Journal, Lambda, StepFunctions};

use super::World;

// What became of it.
impl World {
    /// What happens to tasks.
    #[must_use]
    pub fn ecs(&self) -> &Ecs {
        self.stand_in.ecs()
    }

    /// What happens to builds of CodeBuild.
    #[must_use]
    pub fn codebuild(&self) -> &CodeBuild {
        self.stand_in.codebuild()
    }

    /// What happens to executions of Step Functions.
    #[must_use]
    pub fn step_functions(&self) -> &StepFunctions {
        self.stand_in.step_functions()
    }

    /// What happens to actions of CodePipeline.
    #[must_use]
    pub fn codepipeline(&self) -> &CodePipeline {
        self.stand_in.codepipeline()
    }

    /// What happens to jobs of AWS Backup.
    #[must_use]
    pub fn backups(&self) -> &Backup {
        self.stand_in.backup()
    }

    /// What happens to functions that are deployed.
    #[must_use]
    pub fn lambda(&self) -> &Lambda {
        self.stand_in.lambda()
    }

    /// The alarms.
    #[must_use]
    pub fn cloudwatch(&self) -> &CloudWatch {
        self.stand_in.cloudwatch()
    }

    /// What goes wrong.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        self.stand_in.faults()
    }

    /// What AWS was asked.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        self.stand_in.journal()
    }
}
