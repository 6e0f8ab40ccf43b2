//! Tests of builds, one file for each subject.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

mod abandoned;
mod any_order;
mod codebuild;
mod due;
mod finish;
mod inputs;
mod interruption;
mod launch;
mod lock;
mod measured;
mod orphan;
mod properties;
mod records;
mod refusal;
mod reported;
mod retry;
mod slot;
mod story;
mod tick;
mod verdict;
mod waiting;

use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::decision::{Decision, Ignored};
use crate::executor::Capacity;
use crate::executor::observation::{AgentStatus, Observation, Report, ReportPhase, Stop, StopCause};
use crate::executor::{Executor, LAUNCH_TIMEOUT};
use crate::ids::AgentId;
use crate::inputs::Inputs;
use crate::measure::{self, Measure};
use crate::outbox::{Abandoned, EffectId, Outbox};
use crate::outcome::Outcome;
use crate::record::{Decides, Step};
use crate::results::found::Results;
use crate::spec::{BuildSpec, Relaunch, RetryOn, RetryPolicy, RetryRule};
use crate::testing::{spec, t};
use crate::time::later;
use story::*;
