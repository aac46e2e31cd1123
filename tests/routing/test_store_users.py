"""What every store promises of users and their phones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from routing.store import Store

ALICE, BOB = "alice@handoff.local", "bob@handoff.local"


def test_users_are_kept_by_name(store: Store) -> None:
    store.put_user(ALICE, b"1")
    store.put_user(ALICE, b"2")
    store.put_user(BOB, b"3")
    assert store.users() == {ALICE: b"2", BOB: b"3"}
    assert store.remove_user(ALICE)
    assert not store.remove_user(ALICE)
    assert store.users() == {BOB: b"3"}


def test_all_get_the_same_key_for_nonces(store: Store) -> None:
    store.put_user(ALICE, b"1")
    key, alice = store.login(ALICE)
    assert alice == b"1"
    assert len(key) == 32
    assert store.login(BOB) == (key, None)


def test_the_phones_of_a_node_are_replaced_and_those_of_others_stay(store: Store) -> None:
    store.put_user(ALICE, b"1")
    store.keep_contacts(ALICE, "node1", {"sip:a": b"a", "sip:b": b"b"}, 60)
    store.keep_contacts(ALICE, "node10", {"sip:a": b"c"}, 60)
    store.keep_contacts(ALICE, "node1", {"sip:b": b"B"}, 60)
    there, phones = store.reach(ALICE)
    assert there
    assert sorted(phones) == [b"B", b"c"]
    store.drop_contact(ALICE, "node1", "sip:b")
    assert store.contacts([ALICE, BOB]) == {ALICE: [b"c"], BOB: []}
    assert store.contacts([]) == {}
    store.keep_contacts(ALICE, "node10", {}, 60)
    assert store.reach(ALICE) == (True, [])


def test_with_a_user_its_phones_go(store: Store) -> None:
    store.put_user(ALICE, b"1")
    store.keep_contacts(ALICE, "node1", {"sip:a": b"a"}, 60)
    store.remove_user(ALICE)
    assert store.reach(ALICE) == (False, [])
