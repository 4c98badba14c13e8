use proptest::prelude::*;

use super::*;

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

proptest! {
    #[test]
    fn a_pair_is_the_same_from_both_sides_and_knows_the_peer(one in "[a-zA-Zä🎉0-9]{1,8}", two in "[a-zA-Zä🎉0-9]{1,8}") {
        let (one, two) = (user(&one), user(&two));
        let pair = DirectPair::of(&one, &two);
        prop_assert_eq!(&pair, &DirectPair::of(&two, &one));
        prop_assert!(pair.low() <= pair.high());
        prop_assert_eq!(pair.peer_of(&one), &two);
        prop_assert_eq!(pair.peer_of(&two), &one);
        prop_assert_eq!(pair.is_with_oneself(), one == two);
    }

    #[test]
    fn a_search_finds_a_name_by_each_of_its_words(words in prop::collection::vec("[a-zA-ZäÖß]{1,10}", 1..5), cut in 1..10_usize) {
        let begins = search_words(&words.join(" "));
        for word in &words {
            let prefix: String = word.to_uppercase().chars().take(cut).collect();
            let prefix = search_prefix(&prefix);
            prop_assert!(begins.iter().any(|begin| begin.starts_with(&prefix)), "{prefix} in {begins:?}");
        }
    }
}

#[test]
fn roles_ascend() {
    assert!(Role::Member < Role::Admin && Role::Admin < Role::Owner);
}

#[test]
fn users_are_sorted_by_the_name_that_is_shown() {
    let profile = |display_name: &str, username: &str| Profile {
        username: username.to_owned(),
        display_name: display_name.to_owned(),
        ..Profile::bare(user("Id"))
    };
    assert_eq!(profile("Zoë", "ann").sort_key(), "zoë");
    assert_eq!(profile("", "Ann").sort_key(), "ann");
    assert_eq!(profile("", "").sort_key(), "id");
}

#[test]
fn an_etag_changes_with_the_version() {
    let at = Timestamp::from_millis(1);
    assert_ne!(etag(1, at), etag(2, at));
}
