//! The macro by which every invariant is checked and counted.

/// Where a check stands: an invariant's name, and whether it holds.
macro_rules! check {
    ($world:expr, $about:expr, $name:literal, $holds:expr, $($message:tt)+) => {
        $world.statistics.checks += 1;
        if !$holds {
            let message = format!($($message)+);
            let about: $crate::world::Subject = $about.into();
            $world.violated($name, &about, message);
        }
    };
}
