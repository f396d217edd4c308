//! How durations read.

use std::time::Duration;

use super::human;

#[test]
fn durations_read_as_a_person_would_say_them() {
    assert_eq!(human(Duration::from_millis(340)), "0.3 s");
    assert_eq!(human(Duration::from_millis(42_900)), "42 s");
    assert_eq!(human(Duration::from_secs(187)), "3 min 07 s");
}
