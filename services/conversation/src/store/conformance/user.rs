use super::*;
use crate::domain::Profile;

fn profile(id: &str, username: &str, display_name: &str) -> Profile {
    Profile {
        user: user(id),
        username: username.to_owned(),
        display_name: display_name.to_owned(),
        avatar_url: format!("https://pictures/{id}"),
        email: format!("{id}@example.org"),
        deactivated: false,
    }
}

async fn found<S: ConversationStore>(store: &S, prefix: &str) -> Vec<String> {
    let found = store.search_users(prefix, None, 100).await.unwrap();
    found.into_iter().map(|profile| profile.user.to_string()).collect()
}

pub(crate) async fn profiles_are_stored_whole_and_the_last_wins<E: Engine>(engine: &E) {
    let store = engine.store();
    store.upsert_users(&[profile("1", "ann", "Ann"), profile("2", "", "")], NOW, encode_entry).await.unwrap();
    let newer = Profile { avatar_url: String::new(), ..profile("1", "anna", "Anna") };
    store.upsert_users(std::slice::from_ref(&newer), NOW, encode_entry).await.unwrap();
    let mut users = store.users(&[user("1"), user("2"), user("3")]).await.unwrap();
    users.sort_by(|one, two| one.user.cmp(&two.user));
    assert_eq!(users, [newer, profile("2", "", "")]);
    // By the old name nobody is found.
    store.upsert_users(&[profile("1", "bea", "Bea")], NOW, encode_entry).await.unwrap();
    assert_eq!(found(store, "ann").await, Vec::<String>::new());
    assert_eq!(found(store, "bea").await, ["1"]);
}

pub(crate) async fn users_are_found_by_the_beginning_of_a_word<E: Engine>(engine: &E) {
    let store = engine.store();
    let profiles = [
        profile("1", "bsmith", "Bob Smith"),
        profile("2", "smithy", "Zoë Ärger"),
        profile("3", "x", "Anna Smit%"),
        profile("4", "carl", "Carl 日本"),
    ];
    store.upsert_users(&profiles, NOW, encode_entry).await.unwrap();
    // Sorted by the name that is shown.
    assert_eq!(found(store, "smit").await, ["3", "1", "2"]);
    assert_eq!(found(store, "smith").await, ["1", "2"]);
    // However short.
    assert_eq!(found(store, "s").await, ["3", "1", "2"]);
    assert_eq!(found(store, "smi").await, ["3", "1", "2"]);
    assert_eq!(found(store, "bob smi").await, ["1"]);
    assert_eq!(found(store, "ärg").await, ["2"]);
    assert_eq!(found(store, "日").await, ["4"]);
    assert_eq!(found(store, "mith").await, Vec::<String>::new());
    // No character means another.
    assert_eq!(found(store, "%").await, Vec::<String>::new());
    assert_eq!(found(store, "smit%").await, ["3"]);
    assert_eq!(found(store, "_").await, Vec::<String>::new());
}

pub(crate) async fn pages_of_a_search_hold_everybody_once<E: Engine>(engine: &E) {
    let store = engine.store();
    // Some share a name; all have two words that match.
    let profiles: Vec<_> =
        (0..23).map(|n| profile(&format!("user-{n:02}"), "anton", &format!("Ann {}", n / 5))).collect();
    store.upsert_users(&profiles, NOW, encode_entry).await.unwrap();
    let expected: Vec<_> = (0..23).map(|n| format!("user-{n:02}")).collect();
    for prefix in ["an", "anton"] {
        let (mut met, mut after): (Vec<String>, Option<(String, UserId)>) = (Vec::new(), None);
        loop {
            let position = after.as_ref().map(|(key, user)| (key.as_str(), user));
            let page = store.search_users(prefix, position, 4).await.unwrap();
            met.extend(page.iter().map(|profile| profile.user.to_string()));
            after = page.last().map(|last| (last.sort_key(), last.user.clone()));
            if page.len() < 4 {
                break;
            }
        }
        assert_eq!(met, expected);
    }
}
