//! Followers get every event in order; one that is too slow is told what it lost.

use lb_common::api::EventKind;

use super::*;
use crate::core::events::RING_EVENTS;

const PATIENCE: Duration = Duration::from_secs(10);

fn journal(events: usize) -> Arc<Journal> {
    let journal = Arc::new(Journal::new());
    add(&journal, events);
    journal
}

fn add(journal: &Journal, events: usize) {
    for _ in 0..events {
        journal.add(Occurrence::new(EventKind::WeightChanged, "backend web/b", "by command"), 7);
    }
}

async fn next(follower: &mut Follower) -> Option<Vec<u64>> {
    let events = timeout(PATIENCE, follower.next()).await.unwrap()?;
    Some(events.iter().map(|event| event.sequence).collect())
}

#[tokio::test]
async fn a_follower_gets_what_there_is_and_then_what_comes() {
    let journal = journal(2);
    let mut follower = journal.follow(None).unwrap();
    let last = journal.last();
    assert_eq!(next(&mut follower).await, Some(vec![last - 1, last]));

    let waiting = tokio::spawn(async move { (next(&mut follower).await, follower) });
    tokio::task::yield_now().await;
    add(&journal, 1);
    let (got, mut follower) = waiting.await.unwrap();
    assert_eq!(got, Some(vec![last + 1]));

    let mut resumed = journal.follow(Some(last)).unwrap();
    assert_eq!(next(&mut resumed).await, Some(vec![last + 1]));
    drop(resumed);
    add(&journal, 1);
    let (closed, got) = tokio::join!(journal.close(PATIENCE), async {
        let got = next(&mut follower).await;
        assert_eq!(next(&mut follower).await, None, "closed");
        drop(follower);
        got
    });
    assert_eq!((closed, got), ((), Some(vec![last + 2])));
}

#[tokio::test]
async fn a_follower_that_is_too_slow_is_told_and_cut_off() {
    let journal = journal(1);
    let mut slow = journal.follow(None).unwrap();
    let taken = next(&mut slow).await.unwrap()[0];
    add(&journal, RING_EVENTS + 3);

    let events = timeout(PATIENCE, slow.next()).await.unwrap().unwrap();

    assert_eq!(events.len(), 1);
    assert_eq!((events[0].kind, events[0].sequence), (EventKind::EventsLost, taken + 3));
    assert_eq!(events[0].reason, "3 events lost: only the last 1024 are kept");
    assert_eq!(next(&mut slow).await, None);
    assert_eq!(journal.lost(), 3);

    // It comes again, and goes on behind them.
    let mut again = journal.follow(Some(events[0].sequence)).unwrap();
    assert_eq!(next(&mut again).await.unwrap().first(), Some(&(taken + 4)));
}

#[tokio::test]
async fn one_that_comes_late_is_told_and_goes_on() {
    let journal = journal(RING_EVENTS + 5);
    let first = journal.last() - RING_EVENTS as u64 - 4;
    let mut late = journal.follow(Some(first)).unwrap();
    let got = next(&mut late).await.unwrap();
    assert_eq!(got[..2], [first + 4, first + 5], "the lost ones, and the next");
    assert_eq!(got.len(), PAGE_EVENTS + 1);
    assert!(next(&mut late).await.is_some(), "it is not cut off");

    let all = journal.list(None).items;
    assert_eq!((all.len(), all[0].kind), (RING_EVENTS, EventKind::WeightChanged));
    let since = journal.list(Some(first)).items;
    assert_eq!((since.len(), since[0].kind), (RING_EVENTS + 1, EventKind::EventsLost));
}

#[test]
fn only_so_many_follow() {
    let journal = journal(0);
    let mut followers: Vec<_> = (0..FOLLOWERS_MAX).map(|_| journal.follow(None)).collect();
    assert!(followers.iter().all(Option::is_some));
    assert!(journal.follow(None).is_none());
    followers.pop();
    assert!(journal.follow(None).is_some());
}
