//! What a build counts: attempts, waits, interruptions and ends.

use super::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_build_counts_its_attempt_its_wait_its_agents_time_and_its_end() {
    Story::new(spec())
        .expect_measured(&[Measure::Attempt])
        .at(10)
        .refused(1, SPOT, throttled())
        .expect_measured(&[])
        .at(40)
        .accepted(SPOT, "1a")
        .expect_measured(&[Measure::Queued(seconds(40))])
        .at(70)
        .running("1a")
        .at(190)
        .stopped("1a", exited(0))
        .expect_measured(&[Measure::Agent(SPOT, seconds(120)), Measure::Build(Outcome::Succeeded)])
        .stopped("1a", exited(0))
        .performed()
        .expect_measured(&[]);
}

#[test]
fn an_interruption_counts_once_and_its_replacement_from_the_warning_on() {
    Story::new(spec())
        .up()
        .expect_measured(&[Measure::Attempt, Measure::Queued(seconds(0))])
        .at(60)
        .warned("1a")
        .warned("1a")
        .expect_measured(&[Measure::Interruption, Measure::Attempt, Measure::Retry])
        .at(62)
        .accepted(ON_DEMAND, "2a")
        .expect_measured(&[Measure::Queued(seconds(2)), Measure::Relaunched(seconds(2))])
        .at(100)
        .running("2a")
        .at(170)
        .stopped("1a", taken_back())
        .expect_measured(&[Measure::Agent(SPOT, seconds(170))]);
}

#[test]
fn a_replacement_that_waits_for_the_end_is_measured_from_there() {
    Story::new(relaunched_when_stopped())
        .up()
        .at(60)
        .warned("1a")
        .at(180)
        .stopped("1a", taken_back())
        .at(181)
        .accepted(ON_DEMAND, "2a")
        .expect_measured(&[
            Measure::Attempt,
            Measure::Queued(seconds(0)),
            Measure::Interruption,
            Measure::Agent(SPOT, seconds(180)),
            Measure::Attempt,
            Measure::Retry,
            Measure::Queued(seconds(1)),
            Measure::Relaunched(seconds(1)),
        ]);
}

#[test]
fn an_interruption_without_a_warning_counts_as_well() {
    Story::new(never_retried())
        .up()
        .at(60)
        .stopped("1a", taken_back())
        .expect_measured(&[
            Measure::Attempt,
            Measure::Queued(seconds(0)),
            Measure::Interruption,
            Measure::Agent(SPOT, seconds(60)),
            Measure::Build(Outcome::Interrupted),
        ]);
}

#[test]
fn a_build_that_never_ran_counts_no_agent_time() {
    Story::of(Build::blocked(spec(), t(0)))
        .at(9)
        .happens(cancelled(Outcome::Cancelled))
        .expect_measured(&[Measure::Build(Outcome::Cancelled)]);
}
