"""What every store promises of calls and their leases: the same tests for the one in memory and the one in Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from routing.records import BadRecordError, Call
from routing.store import CallBusy, CallUnknown, LeaseLost, Store
from tests.routing.store_help import a_call, ringing

if TYPE_CHECKING:
    from tests.routing.conftest import Kept

ID = "00000000000000aa"


def test_a_created_call_is_read_back_as_it_was(store: Store) -> None:
    store.create(a_call())
    assert store.peek(ID) == a_call()


def test_a_call_created_twice_stays_as_it_is(store: Store) -> None:
    store.create(a_call())
    store.create(a_call(pool="other"))
    assert store.peek(ID).pool == "sales"


def test_an_unknown_call_is_said_to_be_unknown(store: Store) -> None:
    for ask in (store.peek, store.lease):
        with pytest.raises(CallUnknown) as caught:
            ask(ID)
        assert ID in caught.value.text
        assert caught.value.call_id == ID


def test_a_saved_change_is_seen_and_the_lease_given_up(store: Store) -> None:
    store.create(a_call())
    lease = store.lease(ID)
    assert lease.call == a_call()
    lease.save(ringing(lease.call))
    assert store.peek(ID) == ringing(a_call())
    assert store.lease(ID).call == ringing(a_call())


def test_a_second_lease_waits_until_the_first_one_ends_by_itself(store: Store) -> None:
    store.create(a_call())
    first = store.lease(ID)
    second = store.lease(ID)
    with pytest.raises(LeaseLost) as caught:
        first.save(ringing(first.call))
    assert ID in caught.value.text
    second.save(second.call.model_copy(update={"pool": "other"}))
    assert store.peek(ID).pool == "other"


def test_a_lease_that_is_renewed_all_the_time_makes_others_give_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create(a_call())
    holder = store.lease(ID)
    real = store.acquire  # type: ignore[attr-defined]

    def renew_and_acquire(*args: object, **options: object) -> object:
        holder.save(holder.call, keep=True)
        return real(*args, **options)

    monkeypatch.setattr(store, "acquire", renew_and_acquire)
    with pytest.raises(CallBusy) as caught:
        store.lease(ID)
    assert ID in caught.value.text


def test_a_kept_lease_can_save_again(store: Store) -> None:
    store.create(a_call())
    lease = store.lease(ID)
    lease.save(ringing(lease.call), keep=True)
    lease.save(lease.call.model_copy(update={"pool": "other"}))
    assert store.peek(ID) == ringing(a_call(pool="other"))


def test_a_lease_that_was_given_up_saves_nothing_more(store: Store) -> None:
    store.create(a_call())
    lease = store.lease(ID)
    lease.release()
    lease.release()
    with pytest.raises(LeaseLost):
        lease.save(ringing(lease.call))
    with pytest.raises(LeaseLost):
        lease.forget()
    assert store.peek(ID) == a_call()


def test_leaving_the_context_releases_what_is_still_held(store: Store) -> None:
    store.create(a_call())
    with pytest.raises(ZeroDivisionError), store.lease(ID):
        raise ZeroDivisionError
    held = store.lease(ID)
    with held:
        held.save(ringing(held.call))
    assert store.lease(ID).call == ringing(a_call())


def test_releasing_a_lease_that_ended_leaves_the_new_holder_alone(store: Store) -> None:
    store.create(a_call())
    first = store.lease(ID)
    second = store.lease(ID)
    first.release()
    second.save(ringing(second.call))
    assert store.peek(ID) == ringing(a_call())


def test_a_forgotten_call_leaves_nothing(store: Store) -> None:
    store.create(a_call())
    store.lease(ID).forget()
    with pytest.raises(CallUnknown):
        store.lease(ID)
    assert store.due(9e9, "node1") == []
    assert list(store.calls()) == []


def test_forgetting_without_the_lease_deletes_nothing(store: Store) -> None:
    store.create(a_call())
    first = store.lease(ID)
    store.lease(ID)
    with pytest.raises(LeaseLost):
        first.forget()
    assert store.peek(ID) == a_call()


def test_a_plain_call_is_forgotten_with_the_load(store: Store) -> None:
    store.create(a_call())
    with store.lease(ID, forget_if_plain=True) as lease:
        assert lease.forgotten
        assert lease.call == a_call()
    with pytest.raises(CallUnknown):
        store.peek(ID)
    assert store.due(9e9, "node1") == []


def test_a_call_in_transfer_is_not_forgotten_with_the_load(store: Store) -> None:
    store.create(ringing(a_call()))
    with store.lease(ID, forget_if_plain=True) as lease:
        assert not lease.forgotten
        lease.save(a_call(pool="other"))
    assert store.peek(ID).pool == "other"


@pytest.mark.parametrize("data", [b"", b"{}", b"Pnode1\n{}", b"Xnode1\n{}", b"Tnode1\n\xff\xfe", b"P"])
def test_a_record_that_cannot_be_read_is_named_and_its_lease_given_up(kept: Kept, data: bytes) -> None:
    kept.store.create(a_call())
    kept.spoil(ID, data)
    with pytest.raises(BadRecordError) as caught:
        kept.store.peek(ID)
    assert ID in caught.value.text
    with pytest.raises(BadRecordError, match=ID):
        kept.store.lease(ID)
    kept.spoil(ID, b"Pnode1\n" + a_call().model_dump_json().encode())
    assert kept.store.acquire(ID, "a token", forget_if_plain=False) is not None  # type: ignore[attr-defined]
    kept.spoil(ID, b"Pnonsense")
    kept.store.unlock("a token", ID)  # type: ignore[attr-defined]
    with pytest.raises(BadRecordError, match=ID):
        kept.store.lease(ID, forget_if_plain=True)


def test_all_calls_are_listed_and_the_unreadable_one_is_named(kept: Kept) -> None:
    ids = [f"{number:016x}" for number in range(40)]
    for call_id in ids:
        kept.store.create(a_call(call_id, deadlines={}))
    kept.spoil(ids[7], b"nonsense")
    kept.lose(ids[9])
    found = list(kept.store.calls())
    assert sorted(call.id for call in found if isinstance(call, Call)) == [*ids[:7], ids[8], *ids[10:]]
    assert [ids[7] in call.text for call in found if isinstance(call, BadRecordError)] == [True]
